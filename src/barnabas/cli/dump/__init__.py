"""Reads the files of a data directory, item by item, and finds the first byte that is wrong.

Each module yields `Item`s (plain data, in file order) and raises `Damage` where it can't go on.
Files are seen as buffers; nothing here opens one.
"""
