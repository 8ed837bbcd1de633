"""What a trial leaves: tensors, formats of other libraries, merged models."""
