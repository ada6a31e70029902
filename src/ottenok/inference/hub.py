"""Classifiers to and from folders and the hub, by the names that transformers' users know."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ottenok.bundle.copies import copy_light, copy_whole
from ottenok.bundle.folder import open_bundle
from ottenok.core.errors import BundleError
from ottenok.core.lazy import need

if TYPE_CHECKING:
    from ottenok.bundle.folder import Bundle

__all__ = ["push", "save"]


def save(source: Path, out: Path, *, light: bool) -> Bundle:
    """Copy the bundle in the folder `source`; see `Classifier.save_pretrained`."""
    bundle = open_bundle(source)
    if light:
        return copy_light(bundle, out)
    copy_whole(bundle, out)
    return open_bundle(out)


def push(
    source: Path,
    repo_id: str,
    *,
    private: bool | None,
    token: str | None,
    revision: str | None,
    commit_message: str | None,
    light: bool,
) -> str:
    """Upload the bundle in the folder `source`; see `Classifier.push_to_hub`."""
    with need("data"):
        import huggingface_hub as hub
        from huggingface_hub.errors import HfHubHTTPError
    with tempfile.TemporaryDirectory(prefix="ottenok-") as place:
        folder = save(source, Path(place) / "bundle", light=light).folder
        try:
            hub.create_repo(repo_id, private=private, token=token, exist_ok=True)
            if revision is not None:
                hub.create_branch(repo_id, branch=revision, token=token, exist_ok=True)
            done = hub.upload_folder(
                repo_id=repo_id,
                folder_path=folder,
                revision=revision,
                token=token,
                commit_message=commit_message or "Upload a classifier of ottenok",
            )
        except (HfHubHTTPError, OSError, ValueError) as error:
            raise BundleError(
                f"the model can't be uploaded to {repo_id!r}: {str(error).strip().splitlines()[0][:200]}",
                hint="Check the name, the network, and that you are logged in (`hf auth login`, or token=...).",
            ) from error
    return str(done.commit_url)
