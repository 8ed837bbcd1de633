"""Turn a claimed trial into measurements and artifacts."""

import logging

# peft loads bitsandbytes where it is installed, which then logs the kernel that it could not fetch, even if
# nothing is quantised. Our trials never use that kernel: it has no gradients.
logging.getLogger("bitsandbytes.backends.cpu.ops").addFilter(
    lambda record: not record.getMessage().startswith("Failed to load CPU gemm_4bit")
)
