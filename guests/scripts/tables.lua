-- lua: tables, closures, strings, metatables and coroutines; the argument is the amount of work.
local rounds, state = tonumber(arg[1]), 88172645463325252
local function random(n)
  state = state ~ (state << 13)
  state = state ~ (state >> 7)
  state = state ~ (state << 17)
  return (state >> 11) % n
end

local Account = {}
Account.__index = Account
Account.__lt = function(a, b)
  if a.amount ~= b.amount then return a.amount < b.amount end
  return a.name < b.name
end
function Account.new(name) return setmetatable({ name = name, amount = 0, moves = {} }, Account) end
function Account:move(amount)
  self.amount = self.amount + amount
  self.moves[#self.moves + 1] = amount
end

local function words(text)
  return coroutine.wrap(function()
    for word in text:gmatch("%a+") do coroutine.yield(word) end
  end)
end

local sum = 0
for round = 1, rounds do
  local accounts, names = {}, {}
  for i = 1, 60 do
    local name = string.format("account%03d", i)
    names[i], accounts[name] = name, Account.new(name)
  end
  for _ = 1, 2000 do
    local from, to, amount = names[random(60) + 1], names[random(60) + 1], random(500)
    accounts[from]:move(-amount)
    accounts[to]:move(amount)
  end
  local order = {}
  for _, name in ipairs(names) do order[#order + 1] = accounts[name] end
  table.sort(order)
  local pieces = {}
  for i, account in ipairs(order) do pieces[i] = account.name:upper() .. "=" .. account.amount end
  local text, count = table.concat(pieces, ";"), {}
  for word in words(text) do count[word] = (count[word] or 0) + #word end
  local add = function(n) return function(m) return n + m end end
  for word, n in pairs(count) do sum = add(n)(sum) % 1000003 end
  for _, account in ipairs(order) do
    for i = #account.moves, 2, -1 do sum = (sum + account.moves[i] * i) % 1000003 end
  end
end
print("tables", sum)
