"""The documentation site: pages made from the source, pictures, and the links between them."""
