"""Run ``uv pip`` with the settings of pip, which uv does not read; pip itself where there is no uv.

    python tools/uv_pip.py install -r requirements/gold.txt

Indexes, folders of wheels, constraints, certificates and proxies of pip's configuration files and
variables are passed on. Variables of uv that are set already come first.
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
    """Return the settings for ``pip install`` in the output of ``pip config list``, by name."""
    by_section = {'global': {}, 'install': {}, ':env:': {}}  # later ones win
    for line in listing.splitlines():
        key, _, value = line.partition('=')
        section, _, name = key.partition('.')
        if section in by_section and value:
            by_section[section][name.replace('default-timeout', 'timeout')] = \
                ast.literal_eval(value)
    return {name: value for section in by_section.values() for name, value in section.items()}


def uv_options(settings):
    """Return the options of ``uv pip install`` for such settings."""
    options = [part for name, option in OPTIONS.items() for value in settings.get(name, '').split()
               for part in (option, value)]
    if 'extra-index-url' in settings:  # the best version of any index, as pip takes it
        options += ['--index-strategy', 'unsafe-best-match']
    if settings.get('no-index', 'false').lower() in ('1', 'true', 'yes', 'on'):
        options.append('--no-index')
    return options


def uv_variables(settings):
    """Return the variables of uv for such settings."""
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
