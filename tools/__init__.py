"""What works on the repository and is no part of the product."""
