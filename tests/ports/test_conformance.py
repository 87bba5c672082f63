"""One suite for every adapter of a port, doubles and real ones alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from symphony.errors import BadInput, InvalidManifest, InvalidMelody, NotFound, PlayerError
from symphony.ports.conductor import OrchestrationRequest
from symphony.ports.text_editing import TextEdit

from . import adapters
from .adapters import ConductorCase, ExtensionCase, PitCase, TextCase


def _cases(table: dict[str, adapters.Factory]) -> Any:
    @pytest.fixture(params=sorted(table))
    async def case(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
        async with table[request.param](tmp_path) as opened:
            yield opened

    return case


text = _cases(adapters.TEXT_EDITING)
pit = _cases(adapters.PIT)
stage = _cases(adapters.EXTENSION)
conductor = _cases(adapters.CONDUCTOR)


# --- TextEditingPort ---------------------------------------------------------------------------------
async def test_edits_stay_in_the_buffer_until_they_are_saved(text: TextCase) -> None:
    buffer = await text.port.open_file(text.file)
    assert await text.port.get_buffer_content(buffer) == text.content
    await text.port.edit_text(buffer, TextEdit(1, 2, "XY"))
    await text.port.edit_text(buffer, TextEdit(0, 0, "→"))
    edited = "→" + text.content[0] + "XY" + text.content[2:]
    assert await text.port.get_buffer_content(buffer) == edited
    assert text.read() == text.content
    await text.port.save(buffer)
    assert text.read() == edited


async def test_two_buffers_of_one_file_are_apart(text: TextCase) -> None:
    one, two = await text.port.open_file(text.file), await text.port.open_file(text.file)
    await text.port.edit_text(one, TextEdit(0, len(text.content), ""))
    assert await text.port.get_buffer_content(two) == text.content


@pytest.mark.parametrize("edit", [TextEdit(-1, 0, ""), TextEdit(2, 1, ""), TextEdit(0, 10_000, "")])
async def test_an_edit_outside_changes_nothing(text: TextCase, edit: TextEdit) -> None:
    buffer = await text.port.open_file(text.file)
    with pytest.raises(BadInput):
        await text.port.edit_text(buffer, edit)
    assert await text.port.get_buffer_content(buffer) == text.content


async def test_what_is_closed_or_not_there(text: TextCase) -> None:
    buffer = await text.port.open_file(text.file)
    await text.port.close(buffer)
    for call in (text.port.get_buffer_content, text.port.save, text.port.close):
        with pytest.raises(NotFound):
            await call(buffer)
    with pytest.raises(NotFound):
        await text.port.open_file(text.file.with_name("none.txt"))


# --- PitPort -----------------------------------------------------------------------------------------
async def test_a_handle_is_given_back_once(pit: PitCase) -> None:
    one, two = await pit.port.allocate_model(pit.model), await pit.port.allocate_model(pit.model)
    assert one != two and one.model == pit.model
    await pit.port.release_model(one)
    with pytest.raises(BadInput):
        await pit.port.release_model(one)
    await pit.port.release_model(two)
    with pytest.raises(NotFound):
        await pit.port.allocate_model("no such model")


async def test_a_melody_is_played(pit: PitCase) -> None:
    execution = await pit.port.execute_workflow(pit.good)
    run = await pit.port.wait(execution)
    assert run.status == "succeeded" and {n.status for n in run.nodes} == {"succeeded"}
    assert (await pit.port.execution(execution)).status == "succeeded"
    await pit.port.cancel(execution)
    assert (await pit.port.execution(execution)).status == "succeeded"


async def test_a_failure_skips_what_depends_on_it(pit: PitCase) -> None:
    run = await pit.port.wait(await pit.port.execute_workflow(pit.failing))
    assert run.status == "failed"
    assert [n.status for n in run.nodes] == ["succeeded", "failed", "skipped"]
    assert run.nodes[1].error is not None and run.nodes[1].error["message"]


async def test_a_run_is_cancelled(pit: PitCase) -> None:
    execution = await pit.port.execute_workflow(pit.endless)
    await pit.port.cancel(execution)
    run = await pit.port.wait(execution)
    assert run.status == "cancelled"


async def test_a_melody_with_an_unknown_player_does_not_start(pit: PitCase) -> None:
    bad = {**pit.good, "nodes": [{"id": "a", "kind": "operator", "player": "no/such#thing"}], "edges": []}
    with pytest.raises(InvalidMelody):
        await pit.port.execute_workflow(bad)
    with pytest.raises(NotFound):
        await pit.port.wait("no such run")  # type: ignore[arg-type]


async def test_artifacts_are_what_they_contain(pit: PitCase) -> None:
    first = await pit.port.store_artifact(b"\0content", name="a.bin")
    assert first.startswith("sha256:") and await pit.port.store_artifact(b"\0content") == first
    assert await pit.port.get_artifact(first) == b"\0content"
    assert await pit.port.store_artifact(b"") != first
    with pytest.raises(NotFound):
        await pit.port.get_artifact("sha256:" + "0" * 64)  # type: ignore[arg-type]


# --- ExtensionPort -----------------------------------------------------------------------------------
async def test_functions_are_called(stage: ExtensionCase) -> None:
    extension = await stage.port.load_extension(stage.folder)
    assert await stage.port.load_extension(stage.folder) == extension
    for value in ("text", 3, None, [1, {"a": b"bytes"}]):
        assert await stage.port.invoke_extension(extension, "echo", {"value": value}, {}) == {"value": value}


async def test_a_call_that_fails_or_hangs_harms_no_other(stage: ExtensionCase) -> None:
    extension = await stage.port.load_extension(stage.folder)
    with pytest.raises(PlayerError):
        await stage.port.invoke_extension(extension, "fail", {}, {})
    with pytest.raises(PlayerError):
        await stage.port.invoke_extension(extension, "hang", {}, {}, timeout=0.05)
    assert await stage.port.invoke_extension(extension, "echo", {"value": 1}, {}) == {"value": 1}


async def test_unknown_functions_and_unloaded_extensions(stage: ExtensionCase) -> None:
    extension = await stage.port.load_extension(stage.folder)
    with pytest.raises(NotFound):
        await stage.port.invoke_extension(extension, "nope", {}, {})
    await stage.port.unload_extension(extension)
    with pytest.raises(NotFound):
        await stage.port.invoke_extension(extension, "echo", {}, {})
    with pytest.raises(NotFound):
        await stage.port.unload_extension(extension)
    with pytest.raises(InvalidManifest):
        await stage.port.load_extension(stage.folder / "none")


# --- ConductorPort -----------------------------------------------------------------------------------
async def test_a_prompt_becomes_a_melody(conductor: ConductorCase) -> None:
    request = OrchestrationRequest(conductor.possible)
    answer = await conductor.port.orchestrate(request)
    assert answer.possible and answer.melody is not None and answer.missing == []
    assert {e["node"] for e in answer.explanations} == {n["id"] for n in answer.melody["nodes"]}
    assert answer.predicted_seconds > 0
    assert await conductor.port.orchestrate(request) == answer


async def test_what_is_impossible_is_said_to_be(conductor: ConductorCase) -> None:
    answer = await conductor.port.orchestrate(OrchestrationRequest(conductor.impossible))
    assert not answer.possible and answer.melody is None and answer.missing


@pytest.mark.parametrize("prompt", ["", "  \n", "x" * 100_000])
async def test_bad_prompts_are_refused(conductor: ConductorCase, prompt: str) -> None:
    with pytest.raises(BadInput):
        await conductor.port.orchestrate(OrchestrationRequest(prompt))


async def test_status_is_told(conductor: ConductorCase) -> None:
    assert (await conductor.port.get_status()).ready
