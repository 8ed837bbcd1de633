"""Rows as the client reads them."""
