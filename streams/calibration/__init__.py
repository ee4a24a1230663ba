"""``kbwatch calibrate`` and ``kbwatch aa``: margins from one's own past, and placebos over it."""
