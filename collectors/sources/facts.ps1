# What this computer is, as JSON. Reads only: it changes nothing, and asks no other computer but the
# cluster that this one belongs to. Every query stands alone: what fails is reported in errors, what
# takes long in slow. For Windows PowerShell 5.1, ASCII, in every language of Windows.
#
# Runs in Constrained Language Mode (WDAC, AppLocker): no static member, method or object of a .NET
# type that is not allowed there. No double quotes: it is passed on a command line.

$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$limit = 15
$found = @{}
$failed = @{}
$slow = @{}

function Read-Fact($name, $query) {
    $began = Get-Date
    try {
        $value = & $query
        if ($null -ne $value) { $found[$name] = $value }
    } catch {
        $failed[$name] = [string]$_.Exception.Message
    }
    $seconds = [int]((Get-Date) - $began).TotalSeconds
    if ($seconds -ge $limit) { $slow[$name] = $seconds }
}

function Read-Cim([string]$class, [string]$namespace = 'root/cimv2', [string]$filter = '') {
    $more = @{}
    if ($filter) { $more['Filter'] = $filter }
    Get-CimInstance -ClassName $class -Namespace $namespace -OperationTimeoutSec $limit @more
}

function Read-Key([string]$path) {
    if (Test-Path -LiteralPath $path) { Get-ItemProperty -LiteralPath $path }
}

Read-Fact 'os' {
    $key = Read-Key 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion'
    @{
        name = [string]$key.ProductName
        build = [string]$key.CurrentBuildNumber
        installation = [string]$key.InstallationType
    }
}

Read-Fact 'computer' {
    $system = Read-Cim 'Win32_ComputerSystem'
    @{
        domain_joined = [bool]$system.PartOfDomain
        domain_role = [int]$system.DomainRole
        manufacturer = [string]$system.Manufacturer
        model = [string]$system.Model
    }
}

Read-Fact 'firmware' {
    $bios = Read-Cim 'Win32_BIOS'
    @{ vendor = [string]$bios.Manufacturer; version = [string]$bios.SMBIOSBIOSVersion }
}

Read-Fact 'features' {
    # Win32_ServerFeature names its features in the language of Windows: ids are the same in all.
    @(Read-Cim 'Win32_ServerFeature' | ForEach-Object { [int]$_.ID })
}

Read-Fact 'services' {
    $names = 'ClusSvc', 'NTDS', 'DHCPServer', 'TSGateway', 'TermService', 'Tssdis', 'vmms', 'MSMQ',
        'CertSvc', 'IAS', 'W3SVC', 'DNS', 'Spooler', 'LanmanServer', 'MSSQLSERVER'
    @(Read-Cim 'Win32_Service' | Where-Object {
            (($names -contains $_.Name) -or ($_.Name -like 'MSSQL$*')) -and
            ($_.StartMode -ne 'Disabled')
        } | ForEach-Object { [string]$_.Name })
}

Read-Fact 'shares' {
    # Type 0: shared folders that somebody made, without the administrative ones.
    @(Read-Cim 'Win32_Share' 'root/cimv2' 'Type = 0').Count
}

Read-Fact 'cluster' {
    # The cluster's part of the registry is there while the cluster service runs.
    if (Read-Key 'HKLM:\Cluster') {
        $cluster = Read-Cim 'MSCluster_Cluster' 'root/MSCluster' | Select-Object -First 1
        @{ name = [string]$cluster.Name; s2d = [bool]$cluster.S2DEnabled }
    }
}

Read-Fact 'csv' {
    if (Read-Key 'HKLM:\Cluster') {
        @(Read-Cim 'MSCluster_ClusterSharedVolume' 'root/MSCluster' | ForEach-Object {
            @{ volume = [string]$_.VolumeName }
        })
    }
}

Read-Fact 'volumes' {
    @(Read-Cim 'Win32_EncryptableVolume' 'root/CIMV2/Security/MicrosoftVolumeEncryption' |
        ForEach-Object {
            @{
                device = [string]$_.DeviceID
                type = [int]$_.VolumeType
                protection = [int]$_.ProtectionStatus
            }
        })
}

Read-Fact 'escrow' {
    $key = Read-Key 'HKLM:\SOFTWARE\Policies\Microsoft\FVE'
    @{
        os_backup = [bool]$key.OSActiveDirectoryBackup
    }
}

Read-Fact 'escrow_events' {
    # BitLocker-API 845: the recovery information was backed up to Azure AD.
    $wanted = @{ LogName = 'Microsoft-Windows-BitLocker/BitLocker Management'; Id = 845 }
    @(Get-WinEvent -FilterHashtable $wanted -MaxEvents 1 -ErrorAction SilentlyContinue |
        ForEach-Object { @{ id = [int]$_.Id } })
}

Read-Fact 'secure_boot' {
    $key = Read-Key 'HKLM:\SYSTEM\CurrentControlSet\Control\SecureBoot\State'
    if ($key) { [bool]$key.UEFISecureBootEnabled }
}

Read-Fact 'rollbacks' {
    $path = 'HKLM:\SYSTEM\CurrentControlSet\Policies\Microsoft\FeatureManagement\Overrides'
    $key = Read-Key $path
    if ($key) {
        @($key.PSObject.Properties | Where-Object { $_.Name -match '^\d+$' } | ForEach-Object {
            @{ id = [string]$_.Name; state = [int]$_.Value }
        })
    }
}

Read-Fact 'drivers' {
    $classes = 'NET', 'SCSIADAPTER', 'HDC', 'DISPLAY'
    @(Read-Cim 'Win32_PnPSignedDriver' | Where-Object {
            ($classes -contains $_.DeviceClass) -and ($_.DriverProviderName -ne 'Microsoft')
        } | ForEach-Object {
            @{
                name = [string]$_.DeviceName
                version = [string]$_.DriverVersion
            }
        })
}

Read-Fact 'agents' {
    $paths = 'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\*',
        'HKLM:\SOFTWARE\WOW6432Node\Microsoft\Windows\CurrentVersion\Uninstall\*'
    $kinds = 'agent|antivirus|defender|endpoint|sensor|backup|monitoring|security|vmware tools'
    @(Get-ItemProperty -Path $paths -ErrorAction SilentlyContinue | Where-Object {
            $_.DisplayName -match $kinds
        } | ForEach-Object {
            @{ name = [string]$_.DisplayName; version = [string]$_.DisplayVersion }
        })
}

Read-Fact 'defender' {
    $status = Read-Cim 'MSFT_MpComputerStatus' 'root/Microsoft/Windows/Defender'
    @{ product = [string]$status.AMProductVersion }
}

Read-Fact 'backup' {
    $wanted = @{ LogName = 'Microsoft-Windows-Backup'; Id = 4 }
    $last = Get-WinEvent -FilterHashtable $wanted -MaxEvents 1 -ErrorAction SilentlyContinue
    if ($last) { $last.TimeCreated.ToUniversalTime().ToString('o') }
}

$found['v'] = 1
$found['errors'] = @($failed.Keys | ForEach-Object { @{ query = $_; message = $failed[$_] } })
$found['slow'] = @($slow.Keys | ForEach-Object { @{ query = $_; seconds = $slow[$_] } })
$json = ConvertTo-Json -InputObject $found -Compress -Depth 5
if ($json -match '[^\x20-\x7e]') {
    # As escapes, whatever the console's code page is.
    $json = -join ([char[]]$json | ForEach-Object {
            if ([int]$_ -gt 126) { '\u{0:x4}' -f [int]$_ } else { $_ }
        })
}
$json
