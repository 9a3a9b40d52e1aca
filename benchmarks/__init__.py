"""Runnable measurements that print a table and write JSON."""
