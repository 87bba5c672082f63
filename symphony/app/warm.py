"""`python -m symphony.app.warm`: embeds the texts of all Players at build time, so that a first start need not."""

from __future__ import annotations

from symphony.app.catalogue import build_catalogue
from symphony.app.paths import encoder_files
from symphony.kit.bundled import bundled_folder, find_extensions
from symphony.stage.manifest import FILE_NAME, load_manifest


def main() -> None:
    """Writes the vectors beside the encoder; a home without its own takes them from there."""
    from conductor import Conductor

    folder = bundled_folder()
    bundled = [load_manifest(path / FILE_NAME) for path in find_extensions(folder)]
    offered = [load_manifest(path / FILE_NAME) for path in find_extensions(folder / "registry")]
    catalogue = build_catalogue(bundled, offered)
    conductor = Conductor.load(encoder_files())
    players = [*catalogue.composable(), *catalogue.offered]
    conductor.index(players, catalogue.lattice, encoder_files())
    while conductor.go_on():
        pass


if __name__ == "__main__":
    main()
