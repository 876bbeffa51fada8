"""What the examples share: flags, and the code that reads them.

A flag belongs to the module that reads it. An example adopts the flags of the
modules that it uses, so that its --help and its config.json show them.
"""
