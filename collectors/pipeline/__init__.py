"""From what was read to bundles: selected, limited, redacted. Pure."""
