"""The Orchestra Kit: packages, signatures, registry, resolver and installer."""
