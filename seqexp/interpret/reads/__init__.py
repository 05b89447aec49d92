"""Errors of reads by place, before and after a consensus."""
