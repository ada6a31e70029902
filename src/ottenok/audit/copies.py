"""Equal and nearly equal texts: with other labels, in other splits, or simply there again."""

from __future__ import annotations

import re
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ottenok.audit.findings import Finding
from ottenok.core.progress import SILENT
from ottenok.data.near import Texts, find_groups
from ottenok.data.rows import key_digest
from ottenok.recipes.corpus import CleanOptions
from ottenok.text.normalise import dedupe_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from ottenok.audit.findings import Kind
    from ottenok.audit.rows import AuditRows
    from ottenok.core.progress import Progress

__all__ = ["Copies", "find_copies", "judge_copies"]

# Rows that a finding names besides its own.
_NAMED = 5
# What may turn a meaning: all but letters, digits, spaces and the stops between words.
_SIGNS = re.compile(r"""[^\w\s.,!…:;'"`«»“”„‘’。，！；：、·~～\-–—\ufe0f\u200d]""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """Which texts are equal, and which nearly so.

    Attributes:
        same: int64[n], the place of the first text of which a text is a copy: equal but for case, spaces and stops.
        exact: int64[n], the same of texts that have equal letters and digits, whatever emoji, brackets and question
            marks stand beside them.
        near: int64[n], the same of those that share most of their shingles, too.
    """

    same: npt.NDArray[np.int64]
    exact: npt.NDArray[np.int64]
    near: npt.NDArray[np.int64]


def find_copies(texts: Sequence[str], progress: Progress = SILENT) -> Copies:
    """Find copies as `ottenok data build` does; see `ottenok.data.near`.

    Raises:
        MissingExtraError: The extra `data` is not installed.
    """
    keys = [dedupe_key(text) for text in texts]
    first: dict[bytes, int] = {}
    exact = np.array([first.setdefault(key_digest(key), row) for row, key in enumerate(keys)], dtype=np.int64)
    # ":)" and ":(" turn what is said; stops and repeats do not.
    marked: dict[tuple[int, str], int] = {}
    same = np.array(
        [
            marked.setdefault((group, "".join(sorted(set(_SIGNS.findall(text))))), row)
            for row, (group, text) in enumerate(zip(exact.tolist(), texts, strict=True))
        ],
        dtype=np.int64,
    )
    rows = np.unique(exact)
    lengths = np.array([len(keys[row]) for row in rows], dtype=np.int64)
    with tempfile.TemporaryDirectory(prefix="ottenok-") as folder:
        found = find_groups(
            Texts(rows=rows, lengths=lengths, keys_of=lambda asked: [keys[row] for row in asked]),
            CleanOptions(),
            folder=Path(folder),
            progress=progress,
        )
    near = rows[found][np.searchsorted(rows, exact)]
    return Copies(same=same, exact=exact, near=near)


def _groups(names: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the members of each group of two rows or more, ascending."""
    order = np.argsort(names, kind="stable")
    edges = np.flatnonzero(np.diff(names[order])) + 1
    yield from (group for group in np.split(order, edges) if len(group) > 1)


def judge_copies(rows: AuditRows, copies: Copies) -> list[Finding]:
    """Return what copies tell: contradictions, leaks between splits, and repeats.

    Of rows with one text the label of most is believed, and the others contradict it; where two labels have as many
    rows, all do. A row leaks whose text is in a split with a greater right to it: test before validation before all
    else.
    """
    found: list[Finding] = []
    ranks = rows.ranks
    packed = [rows.truth[row].tobytes() for row in range(len(rows))]
    for group in _groups(copies.same):
        found += _conflicts(rows, group, packed, "conflict", copies.same)
        seen: dict[tuple[str, bytes], int] = {}
        for row in group.tolist():
            first = seen.setdefault((rows.splits[row] if rows.splits else "", packed[row]), row)
            if first != row:
                reason = f"row {rows.numbers[first]} has the same text and label"
                found.append(Finding(kind="duplicate", row=row, score=1.0, reason=reason, related=(first,)))
    for group in _groups(copies.exact):
        found += _leaks(rows, group, ranks, "leak", copies)
    for group in _groups(copies.near):
        found += _conflicts(rows, group, packed, "near-conflict", copies.same)
        found += _leaks(rows, group, ranks, "near-leak", copies)
    return found


def _conflicts(
    rows: AuditRows, group: npt.NDArray[np.int64], packed: Sequence[bytes], kind: Kind, same: npt.NDArray[np.int64]
) -> Iterator[Finding]:
    counts = Counter(packed[row] for row in group.tolist())
    if len(counts) == 1:
        return
    most = max(counts.values())
    leading = [marks for marks, count in counts.items() if count == most]
    by_marks: defaultdict[bytes, list[int]] = defaultdict(list)
    for row in group.tolist():
        by_marks[packed[row]].append(row)
    for marks, members in by_marks.items():
        if len(leading) == 1 and marks == leading[0]:
            continue
        others = [row for other in leading if other != marks for row in by_marks[other]]
        # What copies say is not said again of near ones.
        said = Counter(same[others].tolist()) if kind == "near-conflict" else Counter()
        for row in members:
            count = len(others) - said[same[row]]
            if not count:
                continue
            against = list(islice((other for other in others if not said or same[other] != same[row]), _NAMED))
            label = " + ".join(rows.names(rows.truth[against[0]])) or "none"
            what = "the same text" if kind == "conflict" else "a nearly equal text"
            many = f"{count:,} rows with {what} have" if count > 1 else f"{what} has"
            yield Finding(
                kind=kind,
                row=row,
                score=count / (count + len(members)),
                reason=f"{many} the label {label}: row {rows.numbers[against[0]]}",
                suggested=rows.names(rows.truth[against[0]]) if len(leading) == 1 else None,
                related=tuple(against),
            )


def _leaks(
    rows: AuditRows, group: npt.NDArray[np.int64], ranks: npt.NDArray[np.int64], kind: Kind, copies: Copies
) -> Iterator[Finding]:
    top = int(ranks[group].max())
    for rank in range(top):
        above = group[ranks[group] > rank]
        above = above[np.argsort(-ranks[above], kind="stable")]
        whole = set(copies.exact[above].tolist())
        what = "the same text" if kind == "leak" else "a nearly equal text"
        for row in group[ranks[group] == rank].tolist():
            if kind == "near-leak" and int(copies.exact[row]) in whole:
                continue  # it leaks as it is
            first = int(above[0])
            yield Finding(
                kind=kind,
                row=row,
                score=1.0 if ranks[first] == 2 else 0.5,
                reason=f"{what} is in {rows.splits[first]}: row {rows.numbers[first]}",
                related=tuple(above[:_NAMED].tolist()),
            )
