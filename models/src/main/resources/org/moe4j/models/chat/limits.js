/*
 * Limits on what a template may make; what the library calls itself keeps within them too.
 * Evaluated behind jinja.js, whose declarations it extends.
 */
var LONGEST = 1 << 24;
var LONGEST_RANGE = 100000; // as in the sandbox that transformers uses

function limited(text) {
  if (text.length > LONGEST) {
    throw new Error('makes a text over the limit of ' + LONGEST + ' characters');
  }
  return text;
}

function textOf(text) {
  return new StringValue(limited(text));
}

function truth(value) {
  return new BooleanValue(value);
}

// --- what the library itself calls, within the limits ---------------------------------------------

var unlimitedRepeat = String.prototype.repeat;
String.prototype.repeat = function (count) {
  if (this.length * count > LONGEST) {
    limited({ length: this.length * count });
  }
  return unlimitedRepeat.call(this, Math.max(count, 0));
};

var unlimitedJoin = Array.prototype.join;
Array.prototype.join = function (separator) {
  var length = 0;
  for (var i = 0; i < this.length; i++) {
    length += String(this[i]).length + String(separator).length;
    limited({ length: length });
  }
  return unlimitedJoin.call(this, separator);
};

var unlimitedRange = range;
range = function (start, stop, step) {
  var from = stop === undefined ? 0 : start;
  var to = stop === undefined ? start : stop;
  if (Math.abs((to - from) / (step || 1)) > LONGEST_RANGE) {
    throw new Error('range() of more than ' + LONGEST_RANGE + ' numbers');
  }
  return unlimitedRange(start, stop, step);
};

replace = function (text, from, to, count) {
  var left = count === null || count === undefined || count < 0 ? Infinity : count;
  var points = from.length === 0 ? Array.from(text) : null;
  var made = '';
  if (points !== null) {
    for (var i = 0; i <= points.length; i++) {
      made += (left-- > 0 ? to : '') + (i < points.length ? points[i] : '');
      limited(made);
    }
    return made;
  }
  var at = 0;
  for (var next = text.indexOf(from); next >= 0 && left-- > 0; next = text.indexOf(from, at)) {
    made += text.substring(at, next) + to;
    limited(made);
    at = next + from.length;
  }
  return made + text.substring(at);
};

// Down-levelled subclasses of Error do not keep their class, which the loops look at.
BreakControl = function () {};
ContinueControl = function () {};
