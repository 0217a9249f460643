-- What wrk sends, and how it counts. Arguments: how many answers to wait for, then either
--   POST <body>    or    POST-FILE <file with the body>    or    GET <file with one path per line>

local thread_of_mine

function setup(thread)
  thread_of_mine = thread
end

function init(args)
  local left = tonumber(args[1])
  local requests = {}
  if args[2] == "POST" or args[2] == "POST-FILE" then
    local body = args[2] == "POST" and args[3] or io.open(args[3]):read("*a")
    requests[1] = wrk.format("POST", nil, {["Content-Type"] = "application/json"}, body)
  else
    for path in io.lines(args[3]) do
      requests[#requests + 1] = wrk.format("GET", path)
    end
  end
  answered, wrong = 0, 0

  function request()
    return requests[math.random(#requests)]
  end

  function response(status)
    answered = answered + 1
    if status >= 300 then wrong = wrong + 1 end
    left = left - 1
    if left == 0 then
      wrk.thread:stop()
      io.stderr:write("enough\n") -- wrk itself sleeps until its time is up, or until it is interrupted
    end
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"answered": %d, "wrong": %d, "lost": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f}\n',
    thread_of_mine:get("answered"), thread_of_mine:get("wrong"),
    errors.connect + errors.read + errors.write + errors.timeout,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
