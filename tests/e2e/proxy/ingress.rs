//! ingress-nginx, without its controller, which cannot run here.

use std::path::Path;
use std::process::Command;

use super::{Ports, shipped};
use crate::kubernetes::with_components;
use crate::nginx::{self, binaries};

/// The configuration that ingress-nginx generates from the annotations in `deploy/kubernetes`,
/// according to its documentation ("External Authentication", "Annotations") and its behavior: one
/// `$upstream_http_set_cookie` for all cookies, `X-Original-URL`, the ID of the request in
/// `X-Request-ID`, every header of the request in the check, and with keepalive a check in Lua that
/// accepts only status 200.
pub(super) fn command(home: &Path, ports: &Ports<'_>, keepalive: bool, sign_in: bool) -> Command {
    let manifest = match sign_in {
        true => with_components("ingress-nginx", &["sign-in-required"]),
        false => shipped("kubernetes/overlays/ingress-nginx/ingress.yaml", &[]),
    };
    let annotated = |name: &str| annotated(&manifest, name);
    let annotation =
        |name: &str| annotated(name).unwrap_or_else(|| panic!("the Ingress has {name}"));
    let url: reqwest::Url = annotation("auth-url").parse().unwrap();
    assert_eq!(annotation("auth-always-set-cookie"), "true");
    assert!(!manifest.contains("auth-cache-key:"), "never");
    let headers: Vec<String> = annotation("auth-response-headers")
        .split(',')
        .map(|header| header.trim().to_owned())
        .collect();
    let lower = |header: &str| header.to_ascii_lowercase().replace('-', "_");

    let check = if keepalive {
        let (mut declared, mut copied) = (String::new(), String::new());
        for (n, header) in headers.iter().enumerate() {
            declared +=
                &format!("set $auth_header{n} ''; proxy_set_header '{header}' $auth_header{n};");
            copied += &format!("ngx.var.auth_header{n} = answer.header['{header}'];");
        }
        format!(
            "set $auth_cookie ''; add_header Set-Cookie $auth_cookie always; {declared}
             access_by_lua_block {{
                 local answer = ngx.location.capture('/_external-auth', {{ method = ngx.HTTP_GET, body = '' }})
                 if answer.status ~= 200 then
                     local handed_on = answer.status == 401 or answer.status == 403
                     return ngx.exit(handed_on and answer.status or 500)
                 end
                 ngx.var.auth_cookie = answer.header['Set-Cookie']
                 {copied}
             }}"
        )
    } else {
        let copied = headers.iter().enumerate().map(|(n, header)| {
            let name = lower(header);
            format!("auth_request_set $auth_header{n} $upstream_http_{name}; proxy_set_header '{header}' $auth_header{n};")
        });
        let copied: String = copied.collect();
        format!(
            "auth_request /_external-auth;
             auth_request_set $auth_cookie $upstream_http_set_cookie;
             add_header Set-Cookie $auth_cookie always;
             {copied}"
        )
    };
    // The controller escapes the address with a module of its own (set_escape_uri) that no other
    // nginx has.
    let (refused, sign_in_page) = match annotated("auth-signin") {
        None => (String::new(), String::new()),
        Some(url) => (
            "error_page 401 = @sign_in;".to_owned(),
            format!(
                "location @sign_in {{ add_header Set-Cookie $auth_cookie; return 302 {url}?{}=$scheme://$http_host$request_uri; }}",
                annotation("auth-signin-redirect-param")
            ),
        ),
    };
    let (gate, label_studio, own) = (ports.gate, ports.label_studio, ports.own);
    let own_routes = own_routes(&manifest, gate);
    let hidden = hidden_headers();
    let (host, path) = (url.host_str().unwrap(), url.path());
    let buffer = annotation("proxy-buffer-size");
    let body = annotation("proxy-body-size");
    // Debian's nginx has Lua; the other one is 1.28.
    let (binary, modules) = if keepalive {
        let modules = "load_module /usr/lib/nginx/modules/ndk_http_module.so; load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;";
        (binaries().remove(0), modules)
    } else {
        (binaries().pop().unwrap(), "")
    };
    let user = nginx::user();
    let main = nginx::MAIN;
    let text = format!(
        "{modules} {main} {user}
         http {{
             access_log access.log;
             client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
             large_client_header_buffers 4 32k;
             {hidden}
             map $http_x_request_id $req_id {{ default $http_x_request_id; '' $request_id; }}
             upstream gate {{ server 127.0.0.1:{gate}; keepalive 32; }}
             server {{
                 listen 127.0.0.1:{own};
                 location = /_external-auth {{
                     internal;
                     proxy_pass_request_body off;
                     proxy_set_header Content-Length '';
                     proxy_set_header X-Forwarded-Proto '';
                     proxy_set_header Host {host};
                     proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
                     proxy_set_header X-Original-Method $request_method;
                     proxy_set_header X-Sent-From nginx-ingress-controller;
                     proxy_set_header X-Real-IP $remote_addr;
                     proxy_set_header X-Request-ID $req_id;
                     proxy_set_header X-Forwarded-For $remote_addr;
                     proxy_set_header X-Auth-Request-Redirect $request_uri;
                     proxy_set_header Connection '';
                     proxy_http_version 1.1;
                     proxy_buffer_size {buffer};
                     proxy_buffers 4 {buffer};
                     proxy_pass_request_headers on;
                     client_max_body_size {body};
                     proxy_pass http://gate{path};
                 }}
                 {sign_in_page}
                 location / {{
                     {check}
                     {refused}
                     proxy_set_header Host $http_host;
                     proxy_set_header X-Request-ID $req_id;
                     proxy_set_header X-Real-IP $remote_addr;
                     proxy_set_header X-Forwarded-For $remote_addr;
                     proxy_set_header X-Forwarded-Host $http_host;
                     proxy_set_header X-Forwarded-Proto $scheme;
                     proxy_buffer_size {buffer};
                     proxy_buffers 4 {buffer};
                     client_max_body_size {body};
                     proxy_http_version 1.1;
                     proxy_pass http://127.0.0.1:{label_studio};
                 }}
                 {own_routes}
             }}
         }}"
    );
    nginx::command(&binary, home, &text)
}

fn annotated(manifest: &str, name: &str) -> Option<String> {
    let key = format!("nginx.ingress.kubernetes.io/{name}: ");
    let mut lines = manifest.lines();
    let line = lines.find_map(|line| line.trim().strip_prefix(&key))?;
    Some(line.trim_matches('"').to_owned())
}

/// `pathType: Exact` becomes `location =`, and the controller's `proxy_pass` has no path, so the
/// request target is forwarded as it was spelled.
fn own_routes(manifest: &str, gate: u16) -> String {
    let mut documents = manifest.split("\n---\n");
    let of_gate = documents.find(|document| document.contains("pathType: Exact"));
    // The controller's default.
    let buffer = annotated(of_gate.unwrap(), "proxy-buffer-size").unwrap_or("4k".to_owned());
    let lines = manifest
        .lines()
        .map(|line| line.trim().trim_start_matches("- "));
    let (mut path, mut locations) = ("", String::new());
    for line in lines {
        path = line.strip_prefix("path: ").unwrap_or(path);
        if line == "pathType: Exact" {
            locations += &format!(
                "location = {path} {{
                     proxy_set_header Host $http_host;
                     proxy_set_header X-Request-ID $req_id;
                     proxy_set_header X-Real-IP $remote_addr;
                     proxy_set_header X-Forwarded-Host $http_host;
                     proxy_set_header X-Forwarded-Proto $scheme;
                     proxy_buffer_size {buffer};
                     proxy_buffers 4 {buffer};
                     proxy_pass http://127.0.0.1:{gate};
                 }}\n"
            );
        }
    }
    assert!(locations.contains("/sso/login"), "{manifest}");
    locations
}

/// The settings for the controller's ConfigMap, from the README.
fn hidden_headers() -> String {
    let readme = shipped("kubernetes/README.md", &[]);
    let (_, headers) = readme.split_once("`hide-headers: \"").unwrap();
    let (headers, _) = headers.split_once('"').unwrap();
    let headers = headers.split(',');
    headers
        .map(|header| format!("proxy_hide_header {header};"))
        .collect()
}
