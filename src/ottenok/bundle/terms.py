"""Which terms a model's weights are really under: the strictest of what they rest on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ottenok.bundle.manifest import LicenceFacts

if TYPE_CHECKING:
    from ottenok.bundle.manifest import BundleManifest, SourceFacts

__all__ = ["terms", "trained_on", "warning"]


def trained_on(manifest: BundleManifest) -> tuple[SourceFacts, ...]:
    """Return the sources with rows that training or the choice of thresholds saw."""
    sources = manifest.data.sources if manifest.data else ()
    return tuple(source for source in sources if source.rows.get("train") or source.rows.get("validation"))


def terms(manifest: BundleManifest) -> LicenceFacts:
    """Return the strictest terms: a source that forbids commercial use wins over what the weights claim.

    Terms that are unknown anywhere leave the whole unknown, but under the licence that the weights name.
    """
    claimed, sources = manifest.licence, trained_on(manifest)
    barring = [source for source in sources if source.licence.commercial is False]
    if barring and claimed.commercial is not False:
        names = ", ".join(source.name for source in barring)
        return LicenceFacts(id=barring[0].licence.id, commercial=False, statement=f"Because of: {names}.")
    if claimed.commercial is False:
        # A permissive name over non-commercial data would mislead whoever reads only the name.
        return claimed.model_copy(update={"id": barring[0].licence.id}) if barring else claimed
    if claimed.commercial is None or any(source.licence.commercial is None for source in sources):
        return claimed.model_copy(update={"commercial": None})
    return claimed


def warning(manifest: BundleManifest) -> str | None:
    """Return the sentence that a card must begin with, or None where commercial use is open."""
    found, sources = terms(manifest), trained_on(manifest)
    if found.commercial is True:
        return None
    strict = [source for source in sources if source.licence.commercial is found.commercial]
    names = "; ".join(f"{source.name} ({source.licence.id})" for source in strict)
    if found.commercial is False:
        return f"**Non-commercial use only** ({found.id})." + (f" Trained on: {names}." if names else "")
    return "**Terms partly unknown: check them before commercial use.**" + (
        f" The publishers of these training sets state no terms: {names}." if names else ""
    )
