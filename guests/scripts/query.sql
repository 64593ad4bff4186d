-- sqlite3: tables, an index, joins, groups, windows and recursion; scale.n is the amount of work.
create table part(id integer primary key, kind int, name text, price real);
create table sale(id integer primary key, part int, amount int, day int);
with recursive n(i) as (select 1 union all select i + 1 from n where i < (select n * 20 from scale))
insert into part select i, i * 7919 % 23, 'part ' || (i * 104729 % 9973), (i * 31 % 997) / 8.0 from n;
with recursive n(i) as (select 1 union all select i + 1 from n where i < (select n * 200 from scale))
insert into sale select i, 1 + i * 7907 % (select n * 20 from scale), i % 13, i * 17 % 365 from n;
create index sale_part on sale(part);
select kind, count(*), sum(amount * price) from part join sale on sale.part = part.id group by kind order by kind;
select day / 30, max(total) from (select day, sum(amount) as total from sale group by day) group by 1 order by 1;
select name, price, rank() over (partition by kind order by price desc, id) as place from part order by place, name limit 5;
select count(*) from part where name like '%7%3%' or substr(name, -2) = '42';
select upper(name), length(name) from part where id in (select part from sale where amount = 12 group by part having count(*) > 1) order by name desc limit 5;
update sale set amount = amount + 1 where part in (select id from part where kind = 5);
delete from sale where day between 100 and 110;
select count(*), sum(amount), avg(day) from sale;
