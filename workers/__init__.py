"""Turn a claimed trial into measurements and artifacts."""

import logging

# peft loads bitsandbytes wherever it is installed, and that then tells everybody, quantised or not, which
# kernel it could not fetch. Ours never use it: it has no gradients.
logging.getLogger("bitsandbytes.backends.cpu.ops").addFilter(
    lambda record: not record.getMessage().startswith("Failed to load CPU gemm_4bit")
)
