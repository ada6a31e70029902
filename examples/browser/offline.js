// A service worker: files of this page are fetched once and then come from the browser's cache.
const CACHE = "ottenok"; // build.py adds what the files are
// What is loaded before this worker hears of anything.
const FIRST = ["./", "page.mjs", "ottenok.mjs", "vendor/transformers.min.js"];

async function install() {
  await (await caches.open(CACHE)).addAll(FIRST);
  await self.skipWaiting();
}

self.addEventListener("install", (event) => event.waitUntil(install()));

async function activate() {
  const old = (await caches.keys()).filter((name) => name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
  await self.clients.claim();
}

self.addEventListener("activate", (event) => event.waitUntil(activate()));

async function keep(request) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(request, { ignoreVary: true });
  if (kept) return kept;
  const fresh = await fetch(request);
  if (fresh.status === 200) await cache.put(request, fresh.clone());
  return fresh;
}

self.addEventListener("fetch", (event) => {
  if (event.request.method === "GET" && event.request.url.startsWith(self.location.origin)) {
    event.respondWith(keep(event.request));
  }
});
