# sqlite3: tables, indexes, joins, windows, recursion, transactions, text search by pattern, json.
sqlite3 base.db <<'END'
create table p(id integer primary key, name text, age int); create index i on p(age);
with recursive n(x) as (select 1 union all select x + 1 from n where x < 2000) insert into p select x, 'name' || (x * 7919 % 2003), x % 90 from n;
select count(*), sum(age), min(name), max(name) from p; select age, count(*) from p where age > 85 group by age order by 1;
select a.id, b.id from p a join p b on a.age = b.id and a.name like '%77%' order by 1 limit 4;
select id, sum(age) over (order by id rows 3 preceding) from p limit 5 offset 100;
begin; delete from p where age < 50; select changes(); rollback; select count(*) from p; update p set name = upper(name) where id % 3 = 0; select name from p limit 4;
select json_extract('{"a":[1,{"b":2}]}', '$.a[1].b'), hex(zeroblob(3)), printf('%.3f', 2.0 / 3), round(2.5), 7 / 2, 7 % 4, typeof(1.0), substr('hypervisor', 6), strftime('%Y-%m-%d', 86400 * 366, 'unixepoch');
create view v as select age, avg(id) m from p group by age; select * from v where age in (1, 2); explain query plan select * from p where age = 3; pragma integrity_check;
create trigger t after insert on p begin update p set age = 100 where id = new.id; end; insert into p values (5000, 'x', 1); select age from p where id = 5000;
with recursive m(i, x) as (select 0, 1 union all select i + 1, x * 1103515245 + 12345 & 2147483647 from m where i < 5000) select sum(x) from m;
END
sqlite3 base.db 'select no_such_column from p' 2>&1; echo "status $?"; sqlite3 base.db .dump | sha256sum
