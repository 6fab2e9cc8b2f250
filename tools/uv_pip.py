"""Run ``uv pip`` with pip's settings, which uv does not read; run pip if uv is not installed.

    python tools/uv_pip.py install -r requirements/gold.txt

Passes on indexes, wheel folders, constraints, certificates and proxies from pip's configuration
files and environment variables. Variables of uv that are already set take precedence.
"""
import ast
import os
import subprocess
import sys

OPTIONS = {
    'index-url': '--default-index',
    'extra-index-url': '--index',
    'find-links': '--find-links',
    'constraint': '--constraints',
    'trusted-host': '--allow-insecure-host',
}
VARIABLES = {
    'cert': ['SSL_CERT_FILE'],
    'client-cert': ['SSL_CLIENT_CERT'],
    'proxy': ['HTTPS_PROXY', 'HTTP_PROXY'],
    'timeout': ['UV_HTTP_TIMEOUT'],
}


def read_settings(listing):
    """Read the settings of ``pip install`` from the output of ``pip config list``, by name."""
    by_section = {'global': {}, 'install': {}, ':env:': {}}  # later ones win
    for line in listing.splitlines():
        key, _, value = line.partition('=')
        section, _, name = key.partition('.')
        if section in by_section and value:
            by_section[section][name.replace('default-timeout', 'timeout')] = \
                ast.literal_eval(value)
    return {name: value for section in by_section.values() for name, value in section.items()}


def uv_options(settings):
    """Convert pip's settings to options of ``uv pip install``."""
    options = [part for name, option in OPTIONS.items() for value in settings.get(name, '').split()
               for part in (option, value)]
    if 'extra-index-url' in settings:  # like pip, take the best version of any index
        options += ['--index-strategy', 'unsafe-best-match']
    if settings.get('no-index', 'false').lower() in ('1', 'true', 'yes', 'on'):
        options.append('--no-index')
    return options


def uv_variables(settings):
    """Convert pip's settings to environment variables of uv."""
    return {variable: settings[name] for name, variables in VARIABLES.items()
            for variable in variables if name in settings}


def main(arguments):
    """Run the command and return its exit status."""
    python = [sys.executable, '-m']
    if subprocess.call(python + ['uv', '--version'], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL):
        return subprocess.call(python + ['pip'] + arguments)
    listing = subprocess.check_output(python + ['pip', 'config', 'list'], universal_newlines=True)
    settings = read_settings(listing)
    command = python + ['uv', 'pip', arguments[0], '--python', sys.executable]
    return subprocess.call(command + uv_options(settings) + arguments[1:],
                           env=dict(uv_variables(settings), **os.environ))


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
