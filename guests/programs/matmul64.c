// Matrix product in double precision.
#define REAL double
#define NAME "matmul64"
#include "matmul.h"
