"""Everything that knows HTTP. Nothing below imports FastAPI or Starlette."""
