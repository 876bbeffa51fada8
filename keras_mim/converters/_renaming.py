"""How names of one layout become those of another."""

import dataclasses
import re


def rename(name, rules):
    """Applies `(pattern, replacement)` rules to a name, one after the other."""
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def rename_all(content, rules):
    """Returns a dict whose names went through `rename`."""
    return {rename(name, rules): value for name, value in content.items()}


def split_query_key_value(entries):
    """Returns entries with three arrays where we have one fused projection.

    `attn.qkv.weight` becomes `attn.query.weight`, `attn.key.weight` and
    `attn.value.weight`; likewise the bias.
    """
    split = {}
    for name, entry in entries.items():
        if ".attn.qkv." not in name:
            split[name] = entry
            continue
        for i, part in enumerate(("query", "key", "value")):
            new = name.replace(".qkv.", f".{part}.")
            split[new] = dataclasses.replace(entry, part=i)
    return split
