"""Which of a group's streams goes on: decided once, by files put if absent."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import UsageError
from penstock.storage import LocalStorage
from penstock.streaming.places import Opened, StreamPlaces, opened, streams_of

READS = {"kafka": "flights"}
STORAGE = LocalStorage()


class DiedError(Exception):
    """A process that is no more."""


class Mortal(LocalStorage):
    """Storage of a process that dies before its n-th write, or right after it."""

    def __init__(self, writes: int, *, after: bool) -> None:
        self._left, self._after = writes, after

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """As told."""
        self._left -= 1
        if self._left < 0 and not self._after:
            raise DiedError
        made = super().put_if_absent(path, data)
        if self._left < 0:
            raise DiedError
        return made


def opens(
    folder: Path,
    storage: LocalStorage = STORAGE,
    reads: dict[str, Any] = READS,
    *,
    filled: bool = False,
    again: bool = False,
) -> Opened:
    """What is gone on with."""
    return opened(storage, f"{folder}", "g", reads, filled=filled, again=again)


def identity(places: StreamPlaces) -> dict[str, Any]:
    """What the stream's own file says."""
    found: dict[str, Any] = json.loads(Path(f"{places.folder}/stream.json").read_bytes())
    return found


def there(folder: Path, group: str = "g") -> list[StreamPlaces]:
    """All streams of a group."""
    return streams_of(STORAGE, f"{folder}", group)


def planned(places: StreamPlaces) -> None:
    """Spark plans a first batch."""
    STORAGE.write(f"{places.checkpoint}/offsets/0", b"")


def spark_id(places: StreamPlaces) -> str:
    """By what Spark will know the query."""
    return str(json.loads(Path(f"{places.checkpoint}/metadata").read_bytes())["id"])


@pytest.mark.parametrize("filled", [False, True])
def test_the_first_stream_compares_where_the_table_has_rows(tmp_path: Path, filled: bool) -> None:
    """It has number 1 and Spark's query is named before Spark is asked."""
    found = opens(tmp_path, filled=filled)
    assert (found.places.number, found.compare) == (1, filled)
    assert (found.resumed, found.again) == (False, False)
    assert identity(found.places) == {
        "reads": READS,
        "compare": filled,
        "id": spark_id(found.places),
    }
    assert found.places.id == spark_id(found.places)
    assert there(tmp_path) == [found.places]
    assert there(tmp_path, "other") == []


def test_a_stream_goes_on_as_it_began(tmp_path: Path) -> None:
    """That the table has rows now changes nothing: they are its own. ``again`` asks for no more."""
    first = opens(tmp_path)
    for again in (False, True):
        found = opens(tmp_path, filled=True, again=again)
        assert found == Opened(first.places, compare=False, resumed=False, again=False)
    planned(first.places)
    assert opens(tmp_path) == Opened(first.places, compare=False, resumed=True, again=False)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("writes", range(3))
@pytest.mark.parametrize("number", [1, 2])
def test_a_death_between_two_writes_is_made_good(
    tmp_path: Path, writes: int, after: bool, number: int
) -> None:
    """The next one finishes it, and Spark's query has the name the stream's own file says."""
    if number == 2:
        shutil.rmtree(opens(tmp_path).places.checkpoint)
    with pytest.raises(DiedError):
        opens(tmp_path, Mortal(writes, after=after), again=True)
    found = opens(tmp_path, filled=True, again=True)
    begun = writes > 0 or after
    anew = number == 2
    assert found.places.number == number
    assert found.compare == (anew or not begun)
    assert (found.resumed, found.again) == (False, anew)
    assert found.places.id == spark_id(found.places) == identity(found.places)["id"]
    assert opens(tmp_path) == found
    assert there(tmp_path)[-1] == found.places


def test_a_folder_without_a_whole_file_is_no_stream(tmp_path: Path) -> None:
    """Its writer died, or is about to be done: folders come before the files in them."""
    folder = tmp_path / "streams" / "g"
    (folder / "0001").mkdir(parents=True)
    (folder / "0001" / ".stream.json.half").write_bytes(b'{"rea')
    assert there(tmp_path) == []
    places = opens(tmp_path).places
    assert there(tmp_path) == [places]
    shutil.rmtree(places.checkpoint)
    (folder / "0002").mkdir()
    with pytest.raises(UsageError, match="checkpoint of its stream is gone"):
        opens(tmp_path)


@pytest.mark.parametrize("whole", [True, False])
def test_a_lost_checkpoint_is_refused_or_begun_anew(tmp_path: Path, whole: bool) -> None:
    """The new stream compares, and its transactions have another name: batches begin at 0 again."""
    first = opens(tmp_path)
    lost = Path(first.places.checkpoint)
    shutil.rmtree(lost) if whole else (lost / "metadata").unlink()
    with pytest.raises(
        UsageError, match=r"g: the checkpoint of its stream is gone \(.*/0001/"
    ) as told:
        opens(tmp_path)
    assert "--allow-reprocess" in told.value.remedy
    assert there(tmp_path) == [first.places]
    second = opens(tmp_path, again=True)
    assert second.places.number == 2
    assert (second.compare, second.resumed, second.again) == (True, False, True)
    assert second.places.application != first.places.application
    assert spark_id(second.places) != identity(first.places)["id"]
    assert opens(tmp_path) == second
    assert there(tmp_path) == [first.places, second.places]


def test_other_topics_are_another_stream(tmp_path: Path) -> None:
    """Refused, with both said; the old one is still there for who changes back."""
    planned(opens(tmp_path).places)
    other = {"kafka": "flights,weather"}
    with pytest.raises(
        UsageError, match="reads kafka flights, and is now to read kafka flights,weather"
    ):
        opens(tmp_path, reads=other)
    assert opens(tmp_path).resumed
    second = opens(tmp_path, reads=other, again=True)
    assert (second.places.number, second.compare, second.resumed) == (2, True, False)
    with pytest.raises(UsageError, match="reads kafka flights,weather"):
        opens(tmp_path)


@pytest.mark.parametrize("again", [False, True])
def test_two_that_begin_at_once_agree(tmp_path: Path, again: bool) -> None:
    """On one number, one identity and whether rows are compared, whoever was first."""
    if again:
        shutil.rmtree(opens(tmp_path).places.checkpoint)
    wall, found = threading.Barrier(2), list[Opened]()

    class Waits(LocalStorage):
        """Both have looked before either writes."""

        def put_if_absent(self, path: str, data: bytes) -> bool:
            if path.endswith("stream.json"):
                wall.wait(10)
            return super().put_if_absent(path, data)

    def begin(filled: bool) -> None:
        found.append(opens(tmp_path, Waits(), filled=filled, again=again))

    both = [threading.Thread(target=begin, args=(one,)) for one in (False, True)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert len(found) == 2
    assert {one.places.number for one in found} == {2 if again else 1}
    assert found[0].places == found[1].places
    assert {one.compare for one in found} == {identity(found[0].places)["compare"]}
    assert spark_id(found[0].places) == identity(found[0].places)["id"]


def test_a_stream_that_begins_anew_has_a_name_of_its_own(tmp_path: Path) -> None:
    """State that was removed and made again: numbers repeat, and no batch is taken for done."""
    first = opens(tmp_path).places
    shutil.rmtree(tmp_path / "streams")
    second = opens(tmp_path).places
    assert (first.number, second.number) == (1, 1)
    assert first.application != second.application


def test_the_ten_thousandth_stream_is_newer_than_the_one_before(tmp_path: Path) -> None:
    """Numbers count, not the order of names; what is no number is nobody's."""
    for name in ("0009", "10000", "0010", "9999", "notes"):
        STORAGE.write(f"{tmp_path}/streams/g/{name}/stream.json", b'{"id": "x"}')
    assert [one.number for one in there(tmp_path)] == [9, 10, 9_999, 10_000]
