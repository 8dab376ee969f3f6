/*
 * How values are printed, compared and added: as in Python, not as in JavaScript.
 * Evaluated behind jinja.js, whose declarations it extends.
 */
// --- printing --------------------------------------------------------------------------------------

function pythonFloat(x) {
  if (!isFinite(x)) {
    return isNaN(x) ? 'nan' : x > 0 ? 'inf' : '-inf';
  }
  if (x === 0) {
    return 1 / x < 0 ? '-0.0' : '0.0';
  }
  var parts = /^(.*)e([+-])(\d+)$/.exec(x.toExponential());
  var exponent = Number(parts[2] + parts[3]);
  if (exponent < -4 || exponent >= 16) {
    return parts[1] + 'e' + parts[2] + (parts[3].length < 2 ? '0' : '') + parts[3];
  }
  var digits = parts[1].replace('-', '').replace('.', '');
  var sign = x < 0 ? '-' : '';
  if (exponent < 0) {
    return sign + '0.' + '0'.repeat(-exponent - 1) + digits;
  }
  if (digits.length <= exponent + 1) {
    return sign + digits + '0'.repeat(exponent + 1 - digits.length) + '.0';
  }
  return sign + digits.substring(0, exponent + 1) + '.' + digits.substring(exponent + 1);
}

var ESCAPES = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function quoted(text) {
  var quote = text.indexOf("'") >= 0 && text.indexOf('"') < 0 ? '"' : "'";
  var inner = text.replace(/[\\\n\r\t\x00-\x1f\x7f-\xa0\xad]/g, function (c) {
    return ESCAPES[c] || '\\x' + ('0' + c.charCodeAt(0).toString(16)).slice(-2);
  });
  return quote + (quote === "'" ? inner.split("'").join("\\'") : inner) + quote;
}

function repr(value) {
  if (value instanceof StringValue) {
    return quoted(value.value);
  }
  if (value instanceof UndefinedValue) {
    return 'Undefined';
  }
  if (value instanceof ArrayValue) {
    var inner = value.value.map(repr).join(', ');
    return value instanceof TupleValue
      ? '(' + inner + (value.value.length === 1 ? ',)' : ')')
      : '[' + inner + ']';
  }
  if (value instanceof ObjectValue) {
    return '{' + Array.from(value.value.entries()).map(function (entry) {
      return quoted(entry[0]) + ': ' + repr(entry[1]);
    }).join(', ') + '}';
  }
  return str(value);
}

/** What Jinja prints for a value. */
function str(value) {
  if (value instanceof StringValue) {
    return value.value;
  }
  if (value instanceof UndefinedValue) {
    return '';
  }
  if (value instanceof NullValue) {
    return 'None';
  }
  if (value instanceof BooleanValue) {
    return value.value ? 'True' : 'False';
  }
  if (value instanceof FloatValue) {
    return pythonFloat(value.value);
  }
  if (value instanceof IntegerValue) {
    if (Math.abs(value.value) > Number.MAX_SAFE_INTEGER) {
      throw new Error('whole numbers beyond 2^53 are not supported');
    }
    return String(value.value);
  }
  if (value instanceof ArrayValue || value instanceof ObjectValue) {
    return repr(value);
  }
  throw new Error('cannot print a ' + value.type);
}

var libraryJson = toJSON;
toJSON = function (value, options, depth, convert) {
  if (value instanceof FloatValue) {
    var text = pythonFloat(value.value);
    return { nan: 'NaN', inf: 'Infinity', '-inf': '-Infinity' }[text] || text;
  }
  if (value instanceof UndefinedValue) {
    throw new Error('tojson of an undefined value');
  }
  var tuple = value instanceof TupleValue ? new ArrayValue(value.value) : value;
  return libraryJson(tuple, options, depth, convert);
};

// --- comparing -------------------------------------------------------------------------------------

function equal(a, b) {
  if (isNumericLikeValue(a) && isNumericLikeValue(b)) {
    return getNumericValue(a) === getNumericValue(b);
  }
  if (a.type !== b.type) {
    return false;
  }
  if (a instanceof ArrayValue) {
    return a.value.length === b.value.length && a.value.every(function (item, i) {
      return equal(item, b.value[i]);
    });
  }
  if (a instanceof ObjectValue) {
    return a.value.size === b.value.size && Array.from(a.value.entries()).every(function (entry) {
      return b.value.has(entry[0]) && equal(entry[1], b.value.get(entry[0]));
    });
  }
  return a.value === b.value;
}

function contains(container, item) {
  if (container instanceof StringValue && item instanceof StringValue) {
    return container.value.indexOf(item.value) >= 0;
  }
  if (container instanceof ArrayValue) {
    return container.value.some(function (one) { return equal(one, item); });
  }
  if (container instanceof ObjectValue) {
    return item instanceof StringValue && container.value.has(item.value);
  }
  if (container instanceof UndefinedValue) {
    return false;
  }
  throw new Error("'in' between " + item.type + ' and ' + container.type);
}

function numeric(a, b, value) {
  var float = a instanceof FloatValue || b instanceof FloatValue;
  return float ? new FloatValue(value) : new IntegerValue(value);
}

var ARITHMETIC = {
  '+': function (a, b) { return a + b; },
  '-': function (a, b) { return a - b; },
  '*': function (a, b) { return a * b; },
  '//': function (a, b) { return Math.floor(a / b); },
  '%': function (a, b) { return a - b * Math.floor(a / b); },
  '**': function (a, b) { return Math.pow(a, b); }
};

var ORDER = {
  '<': function (c) { return c < 0; },
  '>': function (c) { return c > 0; },
  '<=': function (c) { return c <= 0; },
  '>=': function (c) { return c >= 0; }
};

function arithmetic(operator, left, right) {
  var a = getNumericValue(left);
  var b = getNumericValue(right);
  if (b === 0 && (operator === '/' || operator === '//' || operator === '%')) {
    throw new Error('division by zero');
  }
  if (operator === '/' || (operator === '**' && b < 0)) {
    return new FloatValue(operator === '/' ? a / b : Math.pow(a, b));
  }
  return numeric(left, right, ARITHMETIC[operator](a, b));
}

function repeated(value, times) {
  if (value instanceof StringValue) {
    return textOf(value.value.repeat(times));
  }
  if (value.value.length * times > LONGEST_RANGE) {
    throw new Error('makes a list of more than ' + LONGEST_RANGE);
  }
  var items = [];
  for (var i = 0; i < times; i++) {
    items = items.concat(value.value);
  }
  return new ArrayValue(items);
}

function binary(operator, left, right) {
  if (operator === '~') {
    return textOf(str(left) + str(right));
  }
  if (ORDER[operator] !== undefined) {
    return truth(ORDER[operator](compareRuntimeValues(left, right, true)));
  }
  if (isNumericLikeValue(left) && isNumericLikeValue(right)) {
    return arithmetic(operator, left, right);
  }
  if (operator === '+' && left instanceof StringValue && right instanceof StringValue) {
    return textOf(left.value + right.value);
  }
  if (operator === '+' && left instanceof ArrayValue && left.type === right.type) {
    var all = left.value.concat(right.value);
    return left instanceof TupleValue ? new TupleValue(all) : new ArrayValue(all);
  }
  if (operator === '*' && right instanceof IntegerValue
      && (left instanceof StringValue || left instanceof ArrayValue)) {
    return repeated(left, right.value);
  }
  throw new Error("'" + operator + "' between " + left.type + ' and ' + right.type);
}

Interpreter.prototype.evaluateBinaryExpression = function (node, environment) {
  var operator = node.operator.value;
  var left = this.evaluate(node.left, environment);
  if (operator === 'and' || operator === 'or') {
    return left.__bool__().value === (operator === 'or')
      ? left : this.evaluate(node.right, environment);
  }
  var right = this.evaluate(node.right, environment);
  switch (operator) {
    case '==': return truth(equal(left, right));
    case '!=': return truth(!equal(left, right));
    case 'in': return truth(contains(right, left));
    case 'not in': return truth(!contains(right, left));
  }
  if (ORDER[operator] !== undefined && left instanceof BooleanValue) {
    // Read as (a < b) < c; Python reads a < b and b < c.
    throw new Error('comparisons in a chain are not supported');
  }
  return binary(operator, left, right);
};
