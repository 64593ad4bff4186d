# python3: subprocesses, pipes, signals, exit codes, fork, environment.
cat > program.py <<'END'
import subprocess, os, signal, sys, tempfile, shutil, select
print(subprocess.run(["/bin/echo", "hello", "child"], capture_output=True, text=True).stdout, end="")
print(subprocess.run("exit 3", shell=True).returncode, subprocess.run(["sort", "-r"], input="a\nc\nb\n", capture_output=True, text=True).stdout.split())
p = subprocess.Popen(["sed", "s/x/y/g"], stdin=subprocess.PIPE, stdout=subprocess.PIPE); print(p.communicate(b"xxx abc x\n")[0], p.returncode)
a = subprocess.Popen(["seq", "100"], stdout=subprocess.PIPE); b = subprocess.Popen(["tail", "-n", "1"], stdin=a.stdout, stdout=subprocess.PIPE); a.stdout.close(); print(b.communicate()[0])
p = subprocess.Popen(["sleep", "30"]); p.terminate(); print(p.wait())
try: subprocess.run(["sleep", "30"], timeout=0.1)
except subprocess.TimeoutExpired as e: print("timeout", e.cmd)
try: subprocess.run(["no-such-program"])
except FileNotFoundError as e: print(e.errno)
print(subprocess.check_output(["env"], env={"ONLY": "this"}))
print(subprocess.run([sys.executable, "-c", "import sys; sys.stderr.write('to stderr'); sys.exit(4)"], stderr=subprocess.PIPE))
r, w = os.pipe(); pid = os.fork()
if pid == 0: os.write(w, b"from the child"); os._exit(11)
print(os.read(r, 100), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
got = []; signal.signal(signal.SIGUSR1, lambda n, f: got.append(n)); os.kill(os.getpid(), signal.SIGUSR1); print(got)
pid = os.fork()
if pid == 0: os.abort()
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])); d = tempfile.mkdtemp(dir="."); open(d + "/f", "w").write("x" * 10); print(os.stat(d + "/f").st_size, os.listdir(d)); shutil.rmtree(d)
r, w = os.pipe(); print(select.select([r], [w], [], 0)[1] == [w]); os.close(w); print(os.read(r, 1))
END
python3 program.py 2>/dev/null
