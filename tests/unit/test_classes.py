"""Java's archive of Spark's classes: what is asked of Java, and what is said where it fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from penstock import classes
from penstock.errors import TemporaryError

GIVEN = "-XX:TieredStopAtLevel=1"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_without_an_archive_java_is_asked_for_what_is_configured(cache: Path) -> None:
    """Nothing of ours is added."""
    assert classes.there() is None
    assert classes.options(GIVEN) is None
    assert not cache.exists()


def test_an_archive_is_named_beside_what_is_configured(cache: Path) -> None:
    """And Java is to say nothing of it, on a standard output that is a command's own."""
    file = _made(cache)
    assert classes.there() == file
    own, _, rest = (classes.options(GIVEN) or "").partition(" -Xlog")
    assert own == f"-XX:SharedArchiveFile={file}"
    assert rest.endswith("off")


def test_an_archive_of_the_users_own_is_left_alone(cache: Path) -> None:
    """Java takes one."""
    _made(cache)
    assert classes.options("-XX:SharedArchiveFile=/own.jsa") is None


def test_a_folder_that_java_would_read_as_two_words_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spark starts as ever."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a cache"))
    _made(tmp_path / "a cache")
    assert classes.options(GIVEN) is None


def test_another_java_has_another(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It could not read this one."""
    _made(cache)
    monkeypatch.setenv("JAVA_HOME", str(cache / "jdk"))
    assert classes.there() is None


def test_a_java_that_was_replaced_in_place_has_another(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would refuse this one, and say nothing."""
    home = cache / "jdk"
    home.mkdir(parents=True)
    (home / "release").write_text('JAVA_VERSION="17.0.1"')
    monkeypatch.setenv("JAVA_HOME", str(home))
    _made(cache)
    assert classes.there() is not None
    (home / "release").write_text('JAVA_VERSION="17.0.15"')
    assert classes.there() is None


def test_a_spark_that_was_installed_anew_has_another(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Java compares the jars' times with those of the archive."""
    jars = tmp_path / "pyspark" / "jars"
    jars.mkdir(parents=True)
    monkeypatch.setattr("pyspark.__file__", str(jars.parent / "__init__.py"))
    _made(cache)
    assert classes.there() is not None
    os.utime(jars, (1, 1))
    assert classes.there() is None


def test_a_java_that_fails_is_told_in_one_line(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is left behind."""
    java = cache / "jdk" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\necho 'no such option' >&2\nexit 1\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(cache / "jdk"))
    with pytest.raises(TemporaryError, match="Java wrote no archive") as failed:
        classes.make()
    assert "\n" not in str(failed.value)
    assert list((cache / "penstock").iterdir()) == []


def _made(cache: Path) -> Path:
    """An empty file where the archive would be."""
    (cache / "penstock").mkdir(parents=True)
    there = classes.there()
    assert there is None
    file = classes.place()
    file.touch()
    return file
