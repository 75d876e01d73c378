"""The replies that have a number, and their words.

Which number means what: https://defs.ircdocs.horse/defs/numerics.html
"""

from collections.abc import Mapping
from enum import StrEnum

from chatservice.core.events import ErrorCode


class Numeric(StrEnum):
    """A reply's number, as it stands in a line."""

    WELCOME = "001"
    YOURHOST = "002"
    CREATED = "003"
    MYINFO = "004"
    ISUPPORT = "005"
    UMODEIS = "221"
    STATSCOMMANDS = "212"
    ENDOFSTATS = "219"
    LUSERCLIENT = "251"
    LUSEROP = "252"
    LUSERUNKNOWN = "253"
    LUSERCHANNELS = "254"
    LUSERME = "255"
    ADMINME = "256"
    LOCALUSERS = "265"
    GLOBALUSERS = "266"
    AWAY = "301"
    USERHOST = "302"
    ISON = "303"
    UNAWAY = "305"
    NOWAWAY = "306"
    WHOISREGNICK = "307"
    WHOISUSER = "311"
    WHOISSERVER = "312"
    WHOISOPERATOR = "313"
    WHOWASUSER = "314"
    ENDOFWHO = "315"
    WHOISIDLE = "317"
    ENDOFWHOIS = "318"
    WHOISCHANNELS = "319"
    LISTSTART = "321"
    LIST = "322"
    LISTEND = "323"
    CHANNELMODEIS = "324"
    CREATIONTIME = "329"
    WHOISACCOUNT = "330"
    NOTOPIC = "331"
    TOPIC = "332"
    TOPICWHOTIME = "333"
    INVITING = "341"
    VERSION = "351"
    WHOREPLY = "352"
    NAMREPLY = "353"
    WHOSPCRPL = "354"
    LINKS = "364"
    ENDOFLINKS = "365"
    ENDOFNAMES = "366"
    BANLIST = "367"
    ENDOFBANLIST = "368"
    ENDOFWHOWAS = "369"
    INFO = "371"
    MOTD = "372"
    ENDOFINFO = "374"
    MOTDSTART = "375"
    ENDOFMOTD = "376"
    YOUREOPER = "381"
    TIME = "391"
    NOSUCHNICK = "401"
    NOSUCHSERVER = "402"
    NOSUCHCHANNEL = "403"
    CANNOTSENDTOCHAN = "404"
    TOOMANYCHANNELS = "405"
    WASNOSUCHNICK = "406"
    TOOMANYTARGETS = "407"
    NOORIGIN = "409"
    INVALIDCAPCMD = "410"
    NORECIPIENT = "411"
    NOTEXTTOSEND = "412"
    INPUTTOOLONG = "417"
    UNKNOWNCOMMAND = "421"
    NOMOTD = "422"
    NONICKNAMEGIVEN = "431"
    ERRONEUSNICKNAME = "432"
    NICKNAMEINUSE = "433"
    USERNOTINCHANNEL = "441"
    NOTONCHANNEL = "442"
    USERONCHANNEL = "443"
    NOTREGISTERED = "451"
    NEEDMOREPARAMS = "461"
    ALREADYREGISTERED = "462"
    PASSWDMISMATCH = "464"
    YOUREBANNEDCREEP = "465"
    INVALIDUSERNAME = "468"
    UNKNOWNMODE = "472"
    INVITEONLYCHAN = "473"
    BANNEDFROMCHAN = "474"
    BADCHANMASK = "476"
    BANLISTFULL = "478"
    NOPRIVILEGES = "481"
    CHANOPRIVSNEEDED = "482"
    NOOPERHOST = "491"
    UMODEUNKNOWNFLAG = "501"
    USERSDONTMATCH = "502"
    HELPNOTFOUND = "524"
    CANNOTSENDTOUSER = "531"
    INVALIDMODEPARAM = "696"
    HELPSTART = "704"
    HELPTXT = "705"
    ENDOFHELP = "706"
    MONONLINE = "730"
    MONOFFLINE = "731"
    MONLIST = "732"
    ENDOFMONLIST = "733"
    MONLISTFULL = "734"
    LOGGEDIN = "900"
    LOGGEDOUT = "901"
    SASLSUCCESS = "903"
    SASLFAIL = "904"
    SASLTOOLONG = "905"
    SASLABORTED = "906"
    SASLALREADY = "907"
    SASLMECHS = "908"


N = Numeric

# The words with which a reply ends. What is in braces is filled in.
WORDS: Mapping[Numeric, str] = {
    N.WELCOME: "Welcome to the {server} chat, {nick}",
    N.YOURHOST: "Your host is {server}, running chatservice {version}",
    N.CREATED: "This server was started {since}",
    N.ISUPPORT: "are supported by this server",
    N.ENDOFSTATS: "End of /STATS report",
    N.LUSERCLIENT: "There are {users} users and 0 invisible on 1 server",
    N.LUSEROP: "operators online",
    N.LUSERUNKNOWN: "unknown connections",
    N.LUSERCHANNELS: "channels formed",
    N.LUSERME: "I have {users} clients and 0 servers",
    N.LOCALUSERS: "Current local users {users}, max {most}",
    N.GLOBALUSERS: "Current global users {users}, max {most}",
    N.ADMINME: "Administrative info",
    N.UNAWAY: "You are no longer marked as being away",
    N.NOWAWAY: "You have been marked as being away",
    N.WHOISREGNICK: "is a registered nick",
    N.WHOISSERVER: "a chatservice",
    N.WHOISOPERATOR: "is an operator of this server",
    N.ENDOFWHO: "End of WHO list",
    N.WHOISIDLE: "seconds idle, signon time",
    N.ENDOFWHOIS: "End of /WHOIS list",
    N.LISTSTART: "Users  Name",
    N.LISTEND: "End of LIST",
    N.WHOISACCOUNT: "is logged in as",
    N.NOTOPIC: "No topic is set",
    N.ENDOFLINKS: "End of /LINKS list",
    N.ENDOFNAMES: "End of /NAMES list",
    N.ENDOFBANLIST: "End of channel ban list",
    N.ENDOFWHOWAS: "End of WHOWAS",
    N.ENDOFINFO: "End of /INFO list",
    N.MOTDSTART: "- {server} Message of the day -",
    N.ENDOFMOTD: "End of /MOTD command",
    N.YOUREOPER: "You are an operator of this server",
    N.NOSUCHNICK: "No such nick",
    N.NOSUCHSERVER: "No such server",
    N.NOSUCHCHANNEL: "No such channel",
    N.CANNOTSENDTOCHAN: "Cannot send to channel",
    N.TOOMANYCHANNELS: "You have joined too many channels",
    N.WASNOSUCHNICK: "There was no such nickname",
    N.TOOMANYTARGETS: "Too many targets",
    N.NOORIGIN: "No origin specified",
    N.INVALIDCAPCMD: "Invalid CAP command",
    N.NORECIPIENT: "No recipient given",
    N.NOTEXTTOSEND: "No text to send",
    N.INPUTTOOLONG: "Input line was too long",
    N.UNKNOWNCOMMAND: "Unknown command",
    N.NOMOTD: "MOTD is missing",
    N.NONICKNAMEGIVEN: "No nickname given",
    N.ERRONEUSNICKNAME: "Erroneous nickname",
    N.NICKNAMEINUSE: "Nickname is already in use",
    N.USERNOTINCHANNEL: "They aren't on that channel",
    N.NOTONCHANNEL: "You're not on that channel",
    N.USERONCHANNEL: "is already on channel",
    N.NOTREGISTERED: "You have not registered",
    N.NEEDMOREPARAMS: "Not enough parameters",
    N.ALREADYREGISTERED: "You may not reregister",
    N.PASSWDMISMATCH: "Password incorrect",
    N.INVALIDUSERNAME: "Malformed username",
    N.UNKNOWNMODE: "is an unknown mode char to me",
    N.INVITEONLYCHAN: "Cannot join channel (+i)",
    N.BANLISTFULL: "Channel ban list is full",
    N.NOPRIVILEGES: "Permission denied: you're not an operator of this server",
    N.CHANOPRIVSNEEDED: "You're not a channel operator",
    N.NOOPERHOST: "That is not the account of an operator",
    N.UMODEUNKNOWNFLAG: "Unknown MODE flag",
    N.USERSDONTMATCH: "Can't view or change the modes of other users",
    N.HELPNOTFOUND: "There is no help for this",
    N.ENDOFMONLIST: "End of MONITOR list",
    N.MONLISTFULL: "Monitor list is full",
    N.LOGGEDIN: "You are now logged in as {account}",
    N.SASLSUCCESS: "SASL authentication successful",
    N.SASLFAIL: "SASL authentication failed",
    N.SASLTOOLONG: "SASL message too long",
    N.SASLABORTED: "SASL authentication aborted",
    N.SASLALREADY: "You have already authenticated using SASL",
    N.SASLMECHS: "are available SASL mechanisms",
}

# What a refusal is in IRC. Others are standard replies: FAIL, with the code in capitals.
OF_REFUSALS: Mapping[ErrorCode, Numeric] = {
    ErrorCode.NOBODY: N.NOSUCHNICK,
    ErrorCode.GONE: N.NOSUCHNICK,
    ErrorCode.UNKNOWN_ROOM: N.NOSUCHCHANNEL,
    ErrorCode.NOT_IN_ROOM: N.NOTONCHANNEL,
    ErrorCode.CANNOT_JOIN: N.INVITEONLYCHAN,
    ErrorCode.BANNED: N.BANNEDFROMCHAN,
    ErrorCode.TOO_MANY_ROOMS: N.TOOMANYCHANNELS,
    ErrorCode.NOT_FOUNDER: N.CHANOPRIVSNEEDED,
    ErrorCode.NOT_IN_CHARGE: N.CHANOPRIVSNEEDED,
    ErrorCode.TOO_SOON: N.CANNOTSENDTOCHAN,
    ErrorCode.NAME_TAKEN: N.NICKNAMEINUSE,
    ErrorCode.NAME_REGISTERED: N.NICKNAMEINUSE,
    ErrorCode.NAME_NOT_YOURS: N.NICKNAMEINUSE,
    ErrorCode.PASSWORD_NEEDED: N.NICKNAMEINUSE,
    ErrorCode.WRONG_PASSWORD: N.PASSWDMISMATCH,
    ErrorCode.NOT_A_MEMBER: N.PASSWDMISMATCH,
    ErrorCode.PASSWORD_IN_CLEAR: N.PASSWDMISMATCH,
    ErrorCode.TOO_OFTEN: N.PASSWDMISMATCH,
} | {
    code: N.ERRONEUSNICKNAME
    for code in ErrorCode
    if code.startswith("name_")
    and code
    not in (
        ErrorCode.NAME_TAKEN,
        ErrorCode.NAME_REGISTERED,
        ErrorCode.NAME_NOT_YOURS,
        ErrorCode.NAME_FIRST,
    )
}
