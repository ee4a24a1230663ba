#Requires -Version 5.1
#Requires -RunAsAdministrator
<#
.SYNOPSIS
Installs the kbwatch collector as a Windows service, or brings an older one up to date.

.DESCRIPTION
Makes the folder of settings and secrets in ProgramData, for SYSTEM and administrators alone; copies
the packaged collector (the folder that deploy/windows/kbwatch-collector.spec makes) beside the one
that runs, and lets it check settings, sources and broker; only then stops the service, swaps the
programs, and lets `kbwatch-collector install` make the service, its account's rights and its
recovery. When that fails the program before is put back. Opens no port to the network, changes no
firewall rule. May be run again; -WhatIf shows what it would do, with the commands of `install`, and
changes nothing.

.EXAMPLE
.\install.ps1 -Package .\kbwatch-collector -Settings .\collector.toml -WhatIf

.EXAMPLE
.\install.ps1 -Package .\kbwatch-collector -Settings .\collector.toml -PrepareOnly

.EXAMPLE
.\install.ps1 -Package .\kbwatch-collector -Settings .\collector.toml
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    # Folder with kbwatch-collector.exe.
    [Parameter(Mandatory)] [ValidateScript({ Test-Path (Join-Path $_ 'kbwatch-collector.exe') })]
    [string] $Package,
    # Settings file; only used while there is none in ProgramData yet.
    [Parameter(Mandatory)] [ValidateScript({ Test-Path $_ -PathType Leaf })]
    [string] $Settings,
    # Make the folders with their rights and copy the settings, so that secrets can be put there.
    [switch] $PrepareOnly,
    # Go on although `check` finds something wrong, for instance a broker that is not up yet.
    [switch] $IgnoreCheck
)
Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$service = 'kbwatch-collector'
$program = Join-Path $env:ProgramFiles 'kbwatch-collector'
$staged = "$program.new"
$before = "$program.before"
$folder = Join-Path $env:ProgramData 'kbwatch'
$secrets = Join-Path $folder 'secrets'
$config = Join-Path $folder 'collector.toml'
$icacls = Join-Path $env:SystemRoot 'System32\icacls.exe'
$rights = @('/inheritance:r', '/grant:r', '*S-1-5-18:(OI)(CI)F', '*S-1-5-32-544:(OI)(CI)F')

function Invoke-Checked([string] $File, [string[]] $Words, [int[]] $Allowed = @(0)) {
    # What a program says on standard error is no error of this script: its exit code is. In ISE and
    # remoting 'Stop' would end the script at the first such line.
    $ErrorActionPreference = 'Continue'
    & $File @Words
    if ($Allowed -notcontains $LASTEXITCODE) {
        throw "$File $($Words -join ' ') ended with $LASTEXITCODE"
    }
}

function Remove-Tree([string] $Path) {
    if (Test-Path -LiteralPath $Path) { Remove-Item -Recurse -Force -LiteralPath $Path }
}

# Everybody may make folders in ProgramData: what is there must have been made by an administrator.
function Assert-Ours([string] $Path) {
    if (-not (Test-Path -LiteralPath $Path)) { return }
    $item = Get-Item -Force -LiteralPath $Path
    if ([string]$item.Attributes -match 'ReparsePoint') {
        throw "$Path is a link: look where it leads, and remove it"
    }
    if ((Get-Acl -LiteralPath $Path).Sddl -notmatch '^O:(SY|BA|LA|DA)') {
        throw "$Path was not made by an administrator: look at it, and remove it"
    }
}

if ((Get-CimInstance Win32_ComputerSystem).DomainRole -ge 4) {
    throw 'A domain controller has no local groups: forward its events instead (wec\README.md).'
}
foreach ($path in $folder, $secrets, $config) { Assert-Ours $path }

if ($WhatIfPreference) {
    $effective = if (Test-Path -LiteralPath $config) { $config } else { $Settings }
    $shown = @('install', '--dry-run', '--config', (Resolve-Path -LiteralPath $effective).Path)
    Invoke-Checked (Join-Path (Resolve-Path -LiteralPath $Package).Path 'kbwatch-collector.exe') $shown
}

if ($PSCmdlet.ShouldProcess($folder, 'Make the folders of settings and secrets')) {
    foreach ($path in $folder, $secrets) {
        if (-not (Test-Path -LiteralPath $path)) {
            New-Item -ItemType Directory -Path $path | Out-Null
        }
        # The service's account is let in file by file; that it may pass through folders is the one
        # privilege that it keeps. /reset first: /grant:r alone leaves rights of others.
        Invoke-Checked $icacls @($path, '/setowner', '*S-1-5-32-544')
        Invoke-Checked $icacls @($path, '/reset')
        Invoke-Checked $icacls (@($path) + $rights)
    }
    # Again, now that nobody else can change it.
    foreach ($path in $folder, $secrets, $config) { Assert-Ours $path }
}
if (-not (Test-Path -LiteralPath $config) -and
    $PSCmdlet.ShouldProcess($config, 'Copy the settings')) {
    Copy-Item -LiteralPath $Settings -Destination $config
}
if ($PrepareOnly) {
    Write-Output "Prepared. Put passwords and keys into $secrets, then run this without -PrepareOnly."
    return
}

if ($PSCmdlet.ShouldProcess($staged, 'Copy the program and let it check the settings')) {
    Remove-Tree $staged
    Copy-Item -Recurse -LiteralPath $Package -Destination $staged
    # A package that was downloaded is marked so, file by file.
    Get-ChildItem -Recurse -File -LiteralPath $staged | Unblock-File
    $new = Join-Path $staged 'kbwatch-collector.exe'
    try {
        # Exit code 1: something is wrong, 2: the settings are.
        $allowed = if ($IgnoreCheck) { 0, 1 } else { , 0 }
        Invoke-Checked $new @('check', '--config', $config) $allowed
    }
    catch {
        Remove-Tree $staged
        throw
    }
}

if ($PSCmdlet.ShouldProcess($service, "Stop it, swap $program, make and start the service")) {
    $running = Get-Service $service -ErrorAction SilentlyContinue
    if ($running -and $running.Status -ne 'Stopped') { Stop-Service $service }
    Remove-Tree $before
    if (Test-Path -LiteralPath $program) { Move-Item -LiteralPath $program -Destination $before }
    try {
        Move-Item -LiteralPath $staged -Destination $program
        $exe = Join-Path $program 'kbwatch-collector.exe'
        Invoke-Checked $exe @('install', '--config', $config)
    }
    catch {
        $failure = $_
        Stop-Service $service -ErrorAction SilentlyContinue
        Remove-Tree $program
        if (Test-Path -LiteralPath $before) {
            Move-Item -LiteralPath $before -Destination $program
            Start-Service $service -ErrorAction SilentlyContinue
            Write-Warning 'The program before is back.'
        }
        throw $failure
    }
    Remove-Tree $before
    Write-Output "Installed. How is it: & '$exe' status --config '$config'"
}
