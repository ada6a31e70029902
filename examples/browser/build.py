"""Put the page together: `python examples/browser/build.py SITE [--model FOLDER] [--packages NODE_MODULES]`.

The library comes from npm (`npm ci --prefix tests/js`), the model is the embedded one or a light bundle
(`ottenok export MODEL --light FOLDER`). Show the result with: `python -m http.server -d SITE`
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
from pathlib import Path

HERE = Path(__file__).parent
PAGE = ("index.html", "page.mjs", "ottenok.mjs")
WORKER = "offline.js"
# transformers.js, and the part of onnxruntime-web that it loads for processors.
LIBRARY = (
    "@huggingface/transformers/dist/transformers.min.js",
    "onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify.mjs",
    "onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify.wasm",
)


def main() -> None:
    """Copy everything into the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("site", type=Path, help="the folder to write")
    parser.add_argument("--model", type=Path, help="a light bundle; without it the embedded classifier")
    parser.add_argument("--packages", type=Path, default=HERE.parents[1] / "tests" / "js" / "node_modules")
    args = parser.parse_args()
    model = args.model
    if model is None:
        from ottenok.inference.places import embedded_folder

        model = embedded_folder()
    shutil.copytree(model, args.site / "model", dirs_exist_ok=True)
    (args.site / "vendor").mkdir(exist_ok=True)
    for name in PAGE:
        shutil.copyfile(HERE / name, args.site / name)
    for name in LIBRARY:
        shutil.copyfile(args.packages / name, args.site / "vendor" / Path(name).name)
    # Another page is another cache, or browsers would show the old one for ever.
    digest = hashlib.sha256()
    for file in sorted(path for path in args.site.rglob("*") if path.is_file() and path.name != WORKER):
        digest.update(file.read_bytes())
    worker = (HERE / WORKER).read_text(encoding="utf-8")
    named = worker.replace('CACHE = "ottenok"', f'CACHE = "ottenok-{digest.hexdigest()[:16]}"')
    (args.site / WORKER).write_text(named, encoding="utf-8")


if __name__ == "__main__":
    main()
