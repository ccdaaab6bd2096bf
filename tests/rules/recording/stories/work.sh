# A morning of a developer who is an administrator too.
export EDITOR="vim -es"
w; id; uptime; df -h; free -m; ps aux | head; last | head -3; who
ls -la; cat /etc/os-release; history | tail -3
mkdir -p src && cd src
git config --global user.name Alice && git config --global user.email alice@example.com
git init -q project && cd project
vim -es -c 'normal iint main(void){return 0;}' -c 'wq' -c 'qa!' main.c
vim -es -c 'normal i# hello' -c 'wq' -c 'qa!' README.md
printf 'all: main\nmain: main.c\n\tgcc -O2 -o main main.c\nclean:\n\trm -f main\n' >Makefile
make && ./main && make clean && make
git add . && git commit -qm 'Begin' && git log --oneline && git status -s
git checkout -qb topic && echo more >>README.md && git commit -qam 'More' && git checkout -q - && git merge -q topic
cd .. && git clone -q project copy && git clone -q --depth 1 https://github.com/git/hello.git 2>/dev/null
tar czf project.tar.gz project && tar tzf project.tar.gz | head -3 && tar xzf project.tar.gz -C /tmp && rm -rf /tmp/project
gzip -k project.tar.gz; sha256sum project.tar.gz; xz -k project.tar.gz
python3 -m venv venv && ./venv/bin/pip install -q requests && ./venv/bin/python -c 'import requests'
python3 -c 'print(1)' | less -F
find . -name '*.c' -exec grep -n main {} + ; grep -rn password /etc/login.defs | head -2
curl -sI https://deb.debian.org/ | head -1; wget -qO /tmp/page.html http://deb.debian.org/ ; file /tmp/page.html; rm /tmp/page.html
rm -f ~/.ssh/id_ed25519*; ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519; ssh-keygen -lf ~/.ssh/id_ed25519.pub
ssh-keyscan -p 2222 127.0.0.1 >>~/.ssh/known_hosts
scp -q -P 2222 -o BatchMode=yes README 127.0.0.1:/tmp/ 2>/dev/null
printf 'Host other\n  Port 2222\n' >~/.ssh/config
vim -es -c "normal Goalias ll='ls -la'" -c wq -c 'qa!' ~/.bashrc
vim -es -c 'normal iset number' -c wq -c 'qa!' ~/.vimrc
crontab -l
EDITOR='sed -i $a0\ 5\ *\ *\ *\ /usr/bin/true' ; export EDITOR; echo '0 6 * * * /usr/bin/true' | crontab -; crontab -e; crontab -l
printf 'correct horse\nTr0ub4dor&3 x\nTr0ub4dor&3 x\n' | passwd
sudo -n apt-get update -q
sudo -n systemctl status nginx --no-pager; sudo -n systemctl restart nginx; sudo -n systemctl daemon-reload; sudo -n journalctl -n 3 --no-pager
sudo -n vim -es -c 'normal Go10.0.0.9 db-1' -c wq -c 'qa!' /etc/hosts
sudo -n vim -es -c 'normal Go# tuned' -c wq -c 'qa!' /etc/nginx/nginx.conf; sudo -n nginx -t; sudo -n nginx -s reload
sudo -n cp /etc/nginx/sites-available/default /etc/nginx/sites-available/shop
sudo -n ln -s ../sites-available/shop /etc/nginx/sites-enabled/shop; sudo -n rm /etc/nginx/sites-enabled/shop
sudo -n tail -3 /var/log/syslog; sudo -n less -F /var/log/auth.log | head -2; sudo -n grep -c session /var/log/auth.log
sudo -n docker version; sudo -n docker ps; sudo -n docker run --rm hello-world
sudo -n mysql -e 'select 1'; redis-cli ping; sudo -n ss -ltnp; ip addr; sudo -n lsof -i 2>/dev/null
sudo -n chown -R alice: ~/src; chmod +x ~/src/project/main; chmod 600 ~/.ssh/config
sudo -n install -m755 ~/src/project/main /usr/local/bin/hello && hello
kill %1 2>/dev/null; sleep 30 & kill $!
sudo -n -i sh -c 'id; ls /root'
sudo -n su - -c whoami
rm -rf ~/src/copy ~/src/venv
man -w ls; apt list --upgradable 2>/dev/null | head -2
exit
