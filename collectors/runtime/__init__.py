"""The loop: sources → pipeline → spool → shipper, and what tells of it."""
