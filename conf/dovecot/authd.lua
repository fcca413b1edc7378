-- Dovecot's passdb and userdb by authd: logins are checked by it, and uid, gid, home and maildir come from it.
-- For Dovecot 2.3 and 2.4, with LuaSocket (Debian: dovecot-auth-lua, lua-socket). docs/clients/dovecot.md has the rest.

-- authd's socket, and how many seconds it may take. Dovecot 2.4 can set both in dovecot.conf: lua_settings { socket = ... }
local path = "/run/courier/authdaemon/socket"
local timeout = 30

local unix = require("socket.unix")

function script_init(settings)
  if settings ~= nil then
    path = settings.socket or path
    timeout = tonumber(settings.timeout) or timeout
  end
  return 0
end

-- Returns authd's whole reply, which is empty for a temporary failure, or nil and what went wrong.
local function ask(request)
  local open = type(unix) == "table" and unix.stream or unix
  local connection = open()
  connection:settimeout(timeout)
  local connected, problem = connection:connect(path)
  local sent = connected and connection:send(request)
  local reply, rest
  if sent then
    reply, problem, rest = connection:receive("*a")
    reply = reply or (problem == "closed" and rest)
  end
  connection:close()
  if not reply then
    return nil, path .. ": " .. tostring(problem)
  end
  return reply
end

-- Returns what a reply says as a table, false for a reject, or nil and what went wrong.
local function account_of(reply, problem)
  if not reply then
    return nil, problem
  end
  if reply == "FAIL\n" then
    return false
  end
  if reply:sub(-3) ~= "\n.\n" then
    return nil, "authd can't tell now; its log says why"
  end
  local account = {}
  for line in reply:gmatch("[^\n]+") do
    local name, value = line:match("^(%u+%d?)=(.*)$")
    if name then
      account[name] = value
    end
  end
  return account
end

-- What an option such as disableimap names, and the other names that mail servers have for it (docs/services.md).
local services = {
  imap = "imap4 imaps imapd imapd-ssl imap-login imap-hibernate imap-urlauth imap-urlauth-login imap-urlauth-worker",
  pop3 = "pop pops pop3s pop3d pop3d-ssl pop3-login",
  smtp = "smtps ssmtp smtpd esmtp esmtps esmtpd esmtpd-msa esmtpd-ssl msa submission submissions submission-login",
  lmtp = "lmtps lmtpd",
  sieve = "managesieve managesieve-login timsieved",
  nntp = "nntps nntpd",
  http = "https httpd",
  webmail = "sqwebmail extmail",
}

local general = {}
for service, names in pairs(services) do
  for name in names:gmatch("%S+") do
    general[name] = service
  end
end

-- What the account's options say, as Courier's servers understand them.
local function is_disabled(account, service, secured)
  local keys = {}
  for _, name in ipairs({ service, service:lower(), general[service:lower()] }) do
    keys["disable" .. name] = true
    keys["disableinsecure" .. name] = not secured
  end
  for option in (account.OPTIONS or ""):gmatch("[^,]+") do
    local key, value = option:match("^([^=]*)=(.*)$")
    if keys[key] and (tonumber(value:match("^%s*([+-]?%d+)")) or 0) ~= 0 then
      return true
    end
  end
  return false
end

-- A newline would end a line of the request, and NUL the text for some who read it.
local function is_plain(text)
  return text ~= nil and text ~= "" and not text:find("[%z\n]")
end

local function is_user(text)
  return is_plain(text) and not text:find("\t")
end

local function service_of(request)
  local service = request.service or request.protocol
  return is_plain(service) and not service:find(" ") and service or "dovecot"
end

local function fields_of(account, prefix)
  local maildir = account.MAILDIR or "Maildir"
  if maildir:sub(1, 1) ~= "/" then
    maildir = account.HOME .. "/" .. maildir
  end
  return {
    [prefix .. "uid"] = account.UID,
    [prefix .. "gid"] = account.GID,
    [prefix .. "home"] = account.HOME,
    [prefix .. "mail"] = "maildir:" .. maildir,
  }
end

local function origin(request)
  local address = request.rip or request.remote_ip
  return is_plain(address) and "TCPREMOTEIP=" .. address .. "\n" or ""
end

function auth_password_verify(request, password)
  local result = dovecot.auth
  if not is_user(request.user) or not is_plain(password) then
    return result.PASSDB_RESULT_PASSWORD_MISMATCH, "unknown user or wrong password"
  end
  local service = service_of(request)
  local body = service .. "\nlogin\n" .. request.user .. "\n" .. password .. "\n"
  local account, problem = account_of(ask(origin(request) .. "AUTH " .. #body .. "\n" .. body))
  if account == nil then
    request:log_error("authd: " .. problem)
    return result.PASSDB_RESULT_INTERNAL_FAILURE, problem
  end
  if not account then
    return result.PASSDB_RESULT_PASSWORD_MISMATCH, "unknown user or wrong password"
  end
  local secured = request.secured ~= nil and request.secured ~= "" and request.secured ~= false
  if is_disabled(account, service, secured) then
    return result.PASSDB_RESULT_USER_DISABLED, service .. " is disabled by the account's options"
  end
  local fields = fields_of(account, "userdb_")
  fields.user = account.ADDRESS
  return result.PASSDB_RESULT_OK, fields
end

function auth_userdb_lookup(request)
  local result = dovecot.auth
  if not is_user(request.user) or request.user:sub(1, 1) == " " then
    return result.USERDB_RESULT_USER_UNKNOWN, "unknown user"
  end
  local account, problem = account_of(ask(origin(request) .. "PRE . " .. service_of(request) .. " " .. request.user .. "\n"))
  if account == nil then
    request:log_error("authd: " .. problem)
    return result.USERDB_RESULT_INTERNAL_FAILURE, problem
  end
  if not account then
    return result.USERDB_RESULT_USER_UNKNOWN, "unknown user"
  end
  return result.USERDB_RESULT_OK, fields_of(account, "")
end

function auth_userdb_iterate()
  local users = {}
  for line in (ask("ENUMERATE\n") or ""):gmatch("[^\n]+") do
    local user, uid, gid = line:match("^([^\t#]+)\t(%d+)\t(%d+)\t")
    if user and uid ~= "0" and gid ~= "0" then
      users[#users + 1] = user
    end
  end
  return users
end
