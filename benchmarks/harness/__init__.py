"""What the benchmarks share.

Each script beside this folder asks one question; results/<question>/ has what
came out.
"""
