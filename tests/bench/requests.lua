-- wrk: sends one request after the other, and ends with figures as JSON.
-- Arguments: method, body, a file with one Cookie header a line (or ""), and headers as "Name: value".
local requests, sent = {}, 0

function init(arguments)
    local headers = {}
    for n = 4, #arguments do
        local name, value = arguments[n]:match("^([^:]+): (.*)$")
        headers[name] = value
    end
    local body = arguments[2] ~= "" and arguments[2] or nil
    local plain = wrk.format(arguments[1], nil, headers, body)
    if arguments[3] == "" then
        requests[1] = plain
        return
    end
    -- The cookie is the first header: LuaJIT's hash of a string reads a few of its bytes, and texts that differ elsewhere take
    -- minutes to be stored.
    local line, rest = plain:match("^(.-\r\n)(.*)$")
    for cookie in io.lines(arguments[3]) do
        requests[#requests + 1] = line .. "Cookie: " .. cookie .. "\r\n" .. rest
    end
end

function request()
    sent = sent % #requests + 1
    return requests[sent]
end

function done(summary, latency)
    local errors = summary.errors
    print(string.format(
        '{"rate": %f, "p50": %f, "p99": %f, "refused": %d, "broken": %d}',
        summary.requests / summary.duration * 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
        errors.status, errors.connect + errors.read + errors.write + errors.timeout
    ))
end
