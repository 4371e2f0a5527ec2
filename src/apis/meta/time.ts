/** RFC 3339 as Go parses it: capital letters, any number of digits below a second. */
const pattern = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,]\d+)?(?:Z|[+-](\d\d):(\d\d))$/

/** Whether a text is a moment that the calendar has, as metav1.Time reads it. */
export function isTime(text: string): boolean {
  const [year = 0, month = 0, day = 0, ...clock] = (pattern.exec(text)?.slice(1) ?? []).map((part) => Number(part ?? 0))
  const [hour = 0, minute = 0, second = 0, zoneHour = 0, zoneMinute = 0] = clock
  const isDay = month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month)
  return isDay && hour < 24 && minute < 60 && second < 60 && zoneHour <= 24 && zoneMinute < 60
}

function daysIn(year: number, month: number): number {
  if (month !== 2) return [4, 6, 9, 11].includes(month) ? 30 : 31
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
}

/** What metav1.MicroTime demands besides: six digits below a second. */
export const microPattern = '[.,][0-9]{6}(Z|[+-][0-9]{2}:[0-9]{2})$'
