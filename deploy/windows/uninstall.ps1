#Requires -Version 5.1
#Requires -RunAsAdministrator
<#
.SYNOPSIS
Removes the kbwatch collector: service, account, rights, program, settings, secrets and spool.

.DESCRIPTION
Leaves nothing, looks whether that is so, and says what is left otherwise. Settings that are broken
or gone hold up nothing. What the collector has not sent yet is lost: `kbwatch-collector status`
says how much that is. -KeepSettings keeps the folder of settings and secrets in ProgramData. May be
run again; -WhatIf shows what it would do and changes nothing.

.EXAMPLE
.\uninstall.ps1 -WhatIf
#>
[CmdletBinding(SupportsShouldProcess)]
param([switch] $KeepSettings)
Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$service = 'kbwatch-collector'
$program = Join-Path $env:ProgramFiles 'kbwatch-collector'
$folder = Join-Path $env:ProgramData 'kbwatch'
$config = Join-Path $folder 'collector.toml'
$exe = Join-Path $program 'kbwatch-collector.exe'
$system = Join-Path $env:SystemRoot 'System32'
$left = @()

function Invoke-Plain([string] $File, [string[]] $Words) {
    # What a program says on standard error is no error of this script: its exit code is.
    $ErrorActionPreference = 'Continue'
    & $File @Words | Out-Host
    $LASTEXITCODE
}

# rd takes away links, and never what they lead to; Remove-Item of 5.1 is not to be relied on there.
function Remove-Tree([string] $Path) {
    if (-not (Test-Path -LiteralPath $Path)) { return }
    $null = Invoke-Plain (Join-Path $system 'cmd.exe') @('/d', '/c', 'rd', '/s', '/q', $Path)
}

if ((Test-Path -LiteralPath $exe) -and
    $PSCmdlet.ShouldProcess($service, 'Remove the service, its rights and its data')) {
    $status = Invoke-Plain $exe @('uninstall', '--config', $config)
    if ($status -ne 0) { $left += "kbwatch-collector uninstall ended with $status" }
}
if ((Get-Service $service -ErrorAction SilentlyContinue) -and
    $PSCmdlet.ShouldProcess($service, 'Remove the service, whose program is gone or has failed')) {
    Stop-Service $service -ErrorAction SilentlyContinue
    Remove-LocalGroupMember -SID S-1-5-32-573 -Member "NT SERVICE\$service" `
        -ErrorAction SilentlyContinue
    $null = Invoke-Plain (Join-Path $system 'sc.exe') @('delete', $service)
}

$trees = @($program, "$program.new", "$program.before")
if (-not $KeepSettings) { $trees += $folder }
foreach ($tree in $trees) {
    if ((Test-Path -LiteralPath $tree) -and $PSCmdlet.ShouldProcess($tree, 'Remove')) {
        Remove-Tree $tree
        if (Test-Path -LiteralPath $tree) { $left += "$tree is still there" }
    }
}
if (-not $WhatIfPreference -and (Get-Service $service -ErrorAction SilentlyContinue)) {
    $left += "the service $service is still there: close what shows it (services.msc)"
}
if ($left) { throw "Not everything is removed: $($left -join '; ')" }
