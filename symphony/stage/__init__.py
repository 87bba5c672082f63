"""The Grand Stage: manifests, permissions and the supervision of sandboxed Players."""
