// The viewer's time zone in a cookie, so that the server writes times in it.

/** @returns {string} the zone's name, for example Europe/Berlin */
export function zone() {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}

const value = `mooring-zone=${zone()}`;
if (!document.cookie.split("; ").includes(value)) {
  document.cookie = `${value}; Path=/; Max-Age=31536000; SameSite=Lax`;
}
