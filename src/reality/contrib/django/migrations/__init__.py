"""What makes the store's tables, and changes them from release to release."""
