-- For wrk: one text of a file in each request, in a random order; what was measured is written as a line of JSON.
-- BODIES: a JSON body a line. DELAY: milliseconds between two requests of a connection (for a load that is offered
-- whatever becomes of it). OUT: where the line goes.
local bodies, delay_ms, counter = {}, tonumber(os.getenv("DELAY") or "0"), 0

function setup(thread)
  counter = counter + 1
  thread:set("number", counter)
end

function init(_)
  math.randomseed(1000 + number)
  for line in io.lines(os.getenv("BODIES")) do bodies[#bodies + 1] = line end
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
end

function request()
  return wrk.format(nil, nil, nil, bodies[math.random(#bodies)])
end

if delay_ms > 0 then
  function delay() return delay_ms * (0.5 + math.random()) end
end

function done(summary, latency, _)
  local file = io.open(os.getenv("OUT"), "w")
  local e = summary.errors
  file:write(string.format(
    '{"seconds":%.3f,"requests":%d,"refused":%d,"broken":%d,"late":%d,"p50_ms":%.3f,"p95_ms":%.3f,"p99_ms":%.3f,"max_ms":%.3f}',
    summary.duration / 1e6, summary.requests, e.status, e.connect + e.read + e.write, e.timeout,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
  file:close()
end
