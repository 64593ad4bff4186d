-- lua: heat that spreads on a grid, and planets: floating point in tables.
local rounds, size = tonumber(arg[1]), 40
local grid, after = {}, {}
for y = 1, size do
  grid[y], after[y] = {}, {}
  for x = 1, size do
    grid[y][x] = (x == 1 and 100.0) or (y == 1 and 25.0) or 0.0
    after[y][x] = grid[y][x]
  end
end
local bodies = {}
for i = 1, 5 do
  bodies[i] = { x = i * 1.5, y = i * 0.25 - 1.0, vx = 0.0, vy = 1.0 / i, mass = 1.0 / (i * i) }
end

local function spread()
  for y = 2, size - 1 do
    local row, above, below, out = grid[y], grid[y - 1], grid[y + 1], after[y]
    for x = 2, size - 1 do
      out[x] = row[x] + 0.2 * (above[x] + below[x] + row[x - 1] + row[x + 1] - 4.0 * row[x])
    end
  end
  grid, after = after, grid
end

local function attract(step)
  for i = 1, #bodies do
    local a = bodies[i]
    for j = i + 1, #bodies do
      local b = bodies[j]
      local dx, dy = a.x - b.x, a.y - b.y
      local square = dx * dx + dy * dy + 0.01
      local pull = step / (square * math.sqrt(square))
      a.vx, a.vy = a.vx - dx * b.mass * pull, a.vy - dy * b.mass * pull
      b.vx, b.vy = b.vx + dx * a.mass * pull, b.vy + dy * a.mass * pull
    end
  end
  for _, body in ipairs(bodies) do
    body.x, body.y = body.x + step * body.vx, body.y + step * body.vy
  end
end

for _ = 1, rounds do
  spread()
  for _ = 1, 40 do attract(0.002) end
end
print("heat", string.format("%a %a", grid[size // 2][size // 2], bodies[1].x + bodies[5].y))
