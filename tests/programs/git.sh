# git: init, add, commit, branch, merge, log, diff, pack, fsck in a temporary folder.
git init -q -b main repo && cd repo && git config user.name Guest && git config user.email guest@example.org
seq 1 50 > n && mkdir d && echo text > d/f && git add . && git commit -q -m first && git log --format='%H %an %s'
sed -i 's/^25$/twenty-five/' n && git diff --stat && git diff | tail -n 8 && git commit -qam second && git checkout -q -b side HEAD~1 && echo more >> d/f && git commit -qam side
git checkout -q main && git merge -q -m merge side && git log --oneline --graph | cat && git show --stat HEAD~1 | tail -n 2 && git ls-tree -r HEAD && git cat-file -p HEAD
for i in 1 2 3 4 5; do echo $i > f$i; git add f$i; git commit -qm "number $i"; done; git rev-list --count HEAD; git tag -a v1 -m tag; git describe
git gc -q 2>&1; git fsck --full 2>&1 | grep -v -i checking; git count-objects -v | grep -E 'in-pack|packs|garbage'; git status --short; git blame -s n | sed -n 24,26p; git grep -n twenty
git stash list; git reset -q --hard HEAD~2 && ls; git clone -q . ../copy 2>&1 && cd ../copy && git log --oneline | wc -l; git bisect log 2>/dev/null; echo "status $?"
