"""Verdicts become latched halts by policy, and halts become signed webhooks."""
