-- The check of label-studio-gate for HAProxy 2.6 and later, which has no built-in one. See haproxy.cfg.
--
-- It asks at /auth/caddy: that answer has each cookie in a separate header, and a page for refused users.

local gate = "http://127.0.0.1:8090/auth/caddy"

-- The client's headers that the gate reads. A client can't smuggle in others. With token.header or proxy_headers, add the
-- headers of your identity-aware proxy, in lower case, and "gate-proxy-secret".
local passed = {
    "cookie", "authorization", "x-api-key", "origin", "sec-fetch-site", "sec-fetch-mode", "referer", "accept",
    "accept-language", "traceparent", "tracestate",
}

-- The first value of a response header.
local function first(headers, name)
    local values = headers[name]
    return values and values[0]
end

-- Sets txn.gate_status to 200 if the request may go on; haproxy.cfg refuses anything else. Any failure leaves it unset.
core.register_action("label_studio_gate", { "http-req" }, function(txn)
    local request = txn.http:req_get_headers()
    local asked = {
        ["x-forwarded-uri"] = { txn.f:pathq() },
        ["x-forwarded-method"] = { txn.f:method() },
        ["x-forwarded-host"] = { first(request, "host") },
        ["x-forwarded-proto"] = { txn.f:ssl_fc() == 1 and "https" or "http" },
        ["x-real-ip"] = { txn.f:src() },
        ["x-request-id"] = { first(request, "x-request-id") },
    }
    for _, name in ipairs(passed) do
        local values = request[name]
        if values then
            asked[name] = {}
            for n = 0, #values do
                table.insert(asked[name], values[n])
            end
        end
    end

    -- The gate answers within http.decision_timeout_ms (3 s).
    local answer = core.httpclient():get({ url = gate, headers = asked, timeout = 4000 })
    if answer == nil or answer.status == nil then
        return
    end
    if answer.status == 200 then
        for variable, name in pairs({
            ["txn.gate_cookie"] = "x-gate-cookie",
            ["txn.gate_set_cookie_1"] = "x-gate-set-cookie-1",
            ["txn.gate_set_cookie_2"] = "x-gate-set-cookie-2",
            ["txn.gate_traceparent"] = "x-gate-traceparent",
            ["txn.gate_tracestate"] = "x-gate-tracestate",
        }) do
            local value = first(answer.headers, name)
            if value then
                txn:set_var(variable, value)
            end
        end
        txn:set_var("txn.gate_status", 200)
        return
    end
    if answer.status ~= 401 and answer.status ~= 403 and answer.status ~= 503 then
        return
    end
    -- If the gate is down, the answer is HAProxy's own.
    if not first(answer.headers, "x-gate-reason") then
        return
    end

    -- The gate's answer, unchanged.
    local reply = txn:reply()
    reply:set_status(answer.status)
    for name, values in pairs(answer.headers) do
        if name ~= "content-length" and name ~= "connection" and name ~= "transfer-encoding" then
            for n = 0, #values do
                reply:add_header(name, values[n])
            end
        end
    end
    reply:add_header("content-length", tostring(#(answer.body or "")))
    reply:set_body(answer.body or "")
    txn:done(reply)
end)
