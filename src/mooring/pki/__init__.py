"""Mooring's private CA: certificates for the broker and for devices, and their revocation.

model · hosts · authority · issue · crl · bundle   pure: values and a clock in, PEM out
inspect · expiry · rollover · watch                pure rules (``inspect`` reads its files)
files · ensure                                     the directory ``DATA_DIR/pki``
ledger · service                                   operations; the ledger is a database
"""
